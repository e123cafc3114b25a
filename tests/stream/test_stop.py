"""What becomes of work when the process is to stop."""

from streamdiff.errors import RetryableError
from streamdiff.ports import CommitPoint, TopicPartition
from streamdiff.testing.stream import echo


def test_stop_finishes_what_runs_and_takes_nothing_new(bench, script, until):
    bench.publish(b"a", b"b", partition=0)
    runtime = bench.runtime()

    def steps():
        yield from until(lambda: bench.executor.orders)
        runtime.stop()
        bench.executor.finish(echo)
        yield

    runtime.run(until=script(steps))
    assert bench.values() == [b"a"]
    assert bench.offset(0) == 1
    assert bench.executor.closed
    assert not bench.health.is_ready


def test_stop_now_abandons_what_runs(bench, script, until):
    bench.publish(b"a", partition=0)
    runtime = bench.runtime()

    def steps():
        yield from until(lambda: bench.executor.orders)
        runtime.stop_now()
        yield

    runtime.run(until=script(steps))
    assert [o.record.value for o in bench.executor.abandoned] == [b"a"]
    assert bench.broker.committed("g")[TopicPartition("in", 0)] == CommitPoint(0)


def test_drain_ends_with_its_time(bench, script, until):
    bench.publish(b"a", partition=0)

    def steps():
        yield from until(lambda: bench.executor.orders)

    bench.runtime(drain_timeout_s=0.0).run(until=script(steps))
    assert bench.executor.abandoned
    assert bench.values() == []


def test_a_broker_that_stays_away_does_not_keep_the_process(bench, script, until):
    bench.publish(b"a")
    transport, _ = bench.flaky([RetryableError("down")] * 100_000)
    runtime = bench.runtime(bench.inline(), transport=transport, drain_timeout_s=3600.0)

    def steps():
        yield from until(lambda: bench.metric("send_failures_total") > 3)
        runtime.stop_now()
        yield

    runtime.run(until=script(steps))
    assert bench.values() == []
    assert not any(c.offset for c in bench.broker.committed("g").values())
