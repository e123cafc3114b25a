"""What the runtime promises, with a broker in memory and work ended by hand."""

from streamdiff.ports import CommitPoint, TopicPartition
from streamdiff.testing.stream import echo


def test_every_event_is_answered_once(bench):
    values = [b"%d" % i for i in range(40)]
    bench.publish(*values)
    bench.runtime(bench.inline()).run_until_idle()
    assert sorted(bench.values()) == sorted(values)


def test_order_within_a_partition_is_kept(bench):
    values = [b"%d" % i for i in range(20)]
    bench.publish(*values, partition=2)
    bench.runtime(bench.inline()).run_until_idle()
    assert bench.values() == values


def test_a_second_run_finds_nothing_to_do(bench):
    bench.publish(b"a", b"b")
    bench.runtime(bench.inline()).run_until_idle()
    bench.runtime(bench.inline()).run_until_idle()
    assert len(bench.values()) == 2


def test_partitions_are_worked_on_in_parallel(bench, script, until):
    for partition in range(4):
        bench.publish(b"x", b"y", partition=partition)

    def steps():
        yield from until(lambda: len(bench.executor.orders) == 4)
        in_work = {o.record.partition for o in bench.executor.orders.values()}
        assert in_work == {0, 1, 2, 3}
        for _ in range(10):
            yield
        assert len(bench.executor.orders) == 4

    bench.runtime(drain_timeout_s=0.0, executor=bench.executor).run(until=script(steps))


def test_one_worker_serves_all_partitions_in_turn(bench):
    for partition in range(4):
        bench.publish(b"%d" % partition, b"%d" % partition, partition=partition)
    bench.runtime(bench.inline()).run_until_idle()
    assert sorted(bench.values()[:4]) == [b"0", b"1", b"2", b"3"]


def test_a_full_partition_is_not_fetched_further(bench, script, until):
    bench.publish(*[b"x"] * 10, partition=0)

    def steps():
        yield from until(lambda: bench.metric("partitions_paused") == 1)
        assert bench.metric("events_waiting") == 2
        while len(bench.values()) < 10:
            if bench.executor.orders:
                bench.executor.finish(echo)
            assert bench.metric("events_waiting") <= 2
            yield

    bench.runtime().run(until=script(steps))
    assert len(bench.values()) == 10


def test_an_offset_is_committed_only_after_its_work(bench, script, until):
    bench.publish(b"a", partition=0)

    def steps():
        yield from until(lambda: bench.executor.orders)
        assert bench.offset(0) == 0
        bench.executor.finish(echo)
        yield from until(lambda: bench.offset(0) == 1)
        assert bench.values() == [b"a"]

    bench.runtime().run(until=script(steps))


def test_an_attempt_is_noted_before_the_work_begins(bench, script, until):
    bench.publish(b"a", partition=0)

    def steps():
        yield from until(lambda: bench.executor.orders)
        point = bench.broker.committed("g")[TopicPartition("in", 0)]
        assert point == CommitPoint(0, '{"attempt": 1}')

    bench.runtime(drain_timeout_s=0.0).run(until=script(steps))


def test_process_is_ready_once_it_polls(bench, script):
    assert not bench.health.is_ready

    def steps():
        yield
        assert bench.health.is_ready
        bench.clock.advance(1000)
        assert not bench.health.is_alive

    bench.runtime().run(until=script(steps))


def test_events_and_latency_are_counted(bench):
    bench.publish(b"a", b"fail", partition=0)
    bench.runtime(bench.inline()).run_until_idle()
    assert bench.metric("events_total", topic="in", outcome="processed", reason="") == 1
    assert bench.metric("dead_letters_total", topic="in", reason="internal") == 1
    assert bench.metric("latency_seconds_count", topic="in") == 2
    assert bench.metric("records_sent_total", topic="out") == 1
