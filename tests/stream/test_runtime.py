"""What the runtime promises, with a broker in memory and work ended by hand."""

import threading

import pytest

from streamdiff.adapters.workers import InlineExecutor
from streamdiff.errors import (
    DeadLetterLimitError,
    RetryableError,
    StreamError,
    TooLargeError,
)
from streamdiff.model import Reason
from streamdiff.ports import CommitPoint, Failure, TopicPartition
from streamdiff.stream.dead_letter import dead_letter
from streamdiff.stream.limits import DeadLetterLimit
from streamdiff.stream.retry import Backoff
from streamdiff.testing.stream import (
    FakeClock,
    FlakyProducer,
    ManualExecutor,
    echo,
    make_echo_handler,
)


def inline():
    return InlineExecutor(make_echo_handler)


def died(_):
    return Failure(
        reason=Reason.WORKER_DIED, error_class="E", message="died", retryable=True
    )


def until(condition):
    """Let the runtime make steps until something is true; a bug ends the test."""
    for _ in range(3000):
        if condition():
            return
        yield
    pytest.fail("it does not come true")


def header(record, name):
    return dict(record.headers)[name].decode()


def flaky(bench, errors):
    producer = FlakyProducer(bench.transport.producer().send, errors)

    class Transport:
        consumer = staticmethod(bench.transport.consumer)

        @staticmethod
        def producer():
            return producer

    return Transport, producer


def test_every_event_is_answered_once(bench):
    values = [b"%d" % i for i in range(40)]
    bench.publish(*values)
    bench.runtime(inline()).run_until_idle()
    assert sorted(bench.values()) == sorted(values)


def test_order_within_a_partition_is_kept(bench):
    values = [b"%d" % i for i in range(20)]
    bench.publish(*values, partition=2)
    bench.runtime(inline()).run_until_idle()
    assert bench.values() == values


def test_a_second_run_finds_nothing_to_do(bench):
    bench.publish(b"a", b"b")
    bench.runtime(inline()).run_until_idle()
    bench.runtime(inline()).run_until_idle()
    assert len(bench.values()) == 2


def test_partitions_are_worked_on_in_parallel(bench, script):
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
    bench.runtime(inline()).run_until_idle()
    assert sorted(bench.values()[:4]) == [b"0", b"1", b"2", b"3"]


def test_a_full_partition_is_not_fetched_further(bench, script):
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


def test_an_offset_is_committed_only_after_its_work(bench, script):
    bench.publish(b"a", partition=0)

    def steps():
        yield from until(lambda: bench.executor.orders)
        assert bench.offset(0) == 0
        bench.executor.finish(echo)
        yield from until(lambda: bench.offset(0) == 1)
        assert bench.values() == [b"a"]

    bench.runtime().run(until=script(steps))


def test_an_attempt_is_noted_before_the_work_begins(bench, script):
    bench.publish(b"a", partition=0)

    def steps():
        yield from until(lambda: bench.executor.orders)
        point = bench.broker.committed("g")[TopicPartition("in", 0)]
        assert point == CommitPoint(0, '{"attempt": 1}')

    bench.runtime(drain_timeout_s=0.0).run(until=script(steps))


def test_a_passing_fault_is_tried_again(bench):
    bench.publish(b"late a")
    bench.runtime(inline()).run_until_idle()
    assert bench.values() == [b"late a"]
    assert bench.metric("retries_total", topic="in", reason="internal") == 2


def test_back_off_lets_another_partition_go_first(bench, script):
    bench.publish(b"bad", partition=0)
    bench.publish(b"good", partition=1)
    bench.executor.workers = 1

    def steps():
        yield from until(lambda: bench.executor.orders)
        bench.executor.finish(died)
        yield from until(lambda: bench.executor.orders)
        assert bench.executor.finish(echo).record.value == b"good"
        yield from until(lambda: bench.values() == [b"good"])
        assert not bench.executor.orders
        bench.clock.advance(100)
        yield from until(lambda: bench.executor.orders)
        assert bench.executor.finish(echo).attempt == 2
        yield from until(lambda: len(bench.values()) == 2)

    class Longest:
        def uniform(self, low, high):
            return high

    slow = Backoff(first_s=50, random=Longest())
    bench.runtime(work_backoff=slow).run(until=script(steps))


def test_a_poison_record_is_dead_lettered_and_the_next_processed(bench):
    bench.publish(b"retry", b"good", partition=0)
    bench.runtime(inline(), max_attempts=3).run_until_idle()
    (letter,) = bench.broker.records("dead-letter")
    assert letter.value == b"retry"
    assert header(letter, "attempts") == "3"
    assert bench.values() == [b"good"]
    assert bench.offset(0) == 2


def test_an_error_that_is_not_retryable_is_dead_lettered_at_once(bench):
    bench.publish(b"fail")
    bench.runtime(inline()).run_until_idle()
    (letter,) = bench.broker.records("dead-letter")
    assert header(letter, "attempts") == "1"
    assert header(letter, "reason") == "internal"


def test_a_record_that_ended_the_process_too_often_is_not_dispatched(bench):
    bench.publish(b"poison", b"good", partition=0)
    consumer = bench.transport.consumer("g")
    consumer.subscribe(["in"], on_assign=id, on_revoke=id, on_lost=id)
    consumer.poll(0)
    consumer.commit({TopicPartition("in", 0): CommitPoint(0, '{"attempt": 3}')})
    consumer.close()

    bench.runtime(inline(), max_attempts=3).run_until_idle()
    (letter,) = bench.broker.records("dead-letter")
    assert header(letter, "reason") == "worker_died"
    assert bench.values() == [b"good"]


def test_attempts_survive_the_end_of_the_process(bench, script):
    bench.publish(b"a", partition=0)
    dead = ManualExecutor()

    def crash():
        yield from until(lambda: dead.orders)
        raise KeyboardInterrupt

    # without the tidy end of a session: as if the process had been killed
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streamdiff.stream.session.Session.leave", lambda _: None)
        with pytest.raises(KeyboardInterrupt):
            bench.runtime(dead).run(until=script(crash))
    for member in list(bench.broker.group("g").topics):
        member.expire()

    def steps():
        yield from until(lambda: bench.executor.orders)
        assert bench.executor.finish(echo).attempt == 2
        yield from until(lambda: bench.values() == [b"a"])

    bench.runtime().run(until=script(steps))


def test_work_interrupted_by_a_rebalance_counts_no_attempt(bench, script):
    bench.publish(b"a", partition=1)

    def steps():
        yield from until(lambda: bench.executor.orders)
        consumer = bench.transport.consumer("g")
        consumer.subscribe(["in"], on_assign=id, on_revoke=id, on_lost=id)
        yield from until(lambda: bench.executor.abandoned)
        consumer.close()
        yield from until(lambda: bench.executor.orders)
        assert bench.executor.finish(echo).attempt == 1
        yield from until(lambda: bench.values() == [b"a"])

    bench.runtime().run(until=script(steps))


def test_two_members_share_the_work_and_lose_nothing(bench, script):
    values = [b"%d" % i for i in range(60)]
    bench.publish(*values)
    both_have_worked = threading.Event()
    second = bench.runtime(inline())
    thread = threading.Thread(
        target=second.run, kwargs={"until": both_have_worked.is_set}
    )

    def steps():
        yield from until(lambda: len(bench.values()) > 10)
        thread.start()
        yield from until(lambda: len(bench.broker.group("g").topics) == 2)
        yield from until(lambda: len(set(bench.broker.group("g").owners.values())) == 2)
        yield from until(lambda: len(bench.values()) > 40)
        both_have_worked.set()
        thread.join()
        yield from until(lambda: set(bench.values()) == set(values))

    bench.runtime(inline()).run(until=script(steps))
    assert len(bench.values()) <= len(values) + 4  # one in work per partition


def test_a_lost_partition_is_never_committed(bench, script):
    bench.publish(b"a", partition=0)

    def steps():
        yield from until(lambda: bench.executor.orders)
        (member,) = bench.broker.group("g").topics
        member.expire()
        bench.executor.finish(echo)
        yield
        assert bench.offset(0) == 0
        yield from until(lambda: bench.executor.orders)
        bench.executor.finish(echo)
        yield from until(lambda: bench.offset(0) == 1)

    bench.runtime().run(until=script(steps))
    assert bench.values() == [b"a"] * len(bench.values())


def test_a_failed_send_is_repeated_byte_for_byte(bench):
    bench.publish(b"a")
    transport, producer = flaky(bench, [RetryableError("down"), RetryableError("down")])
    bench.runtime(inline(), transport=transport).run_until_idle()
    assert bench.values() == [b"a"]
    assert len(producer.seen) == 3
    assert len(set(producer.seen)) == 1


def test_results_too_large_to_send_become_a_dead_letter(bench):
    bench.publish(b"a")
    transport, _ = flaky(bench, [TooLargeError("9 MB")])
    bench.runtime(inline(), transport=transport).run_until_idle()
    (letter,) = bench.broker.records("dead-letter")
    assert header(letter, "reason") == "too_large"


class Letters:
    """Reports failures as the service does."""

    def report(self, record, failure, attempts):
        clock = FakeClock()
        letter = dead_letter(
            record, failure, attempts=attempts, topic="dead-letter", clock=clock
        )
        return (letter,)


@pytest.mark.parametrize(
    ("refusals", "omitted", "value"),
    [(2, "traceback", b"a"), (3, "traceback, value", b"")],
)
def test_a_dead_letter_too_large_to_send_says_what_it_leaves_out(
    bench, refusals, omitted, value
):
    bench.publish(b"a")
    transport, _ = flaky(bench, [TooLargeError("9 MB")] * refusals)
    runtime = bench.runtime(inline(), transport=transport, reporter=Letters())
    runtime.run_until_idle()
    (letter,) = bench.broker.records("dead-letter")
    assert header(letter, "streamdiff.dlq.omitted") == omitted
    assert (letter.key, letter.value) == (b"a", value)
    assert "streamdiff.dlq.traceback" not in dict(letter.headers)


def test_a_dead_letter_that_can_not_be_sent_stops_the_process(bench):
    bench.publish(b"a")
    transport, _ = flaky(bench, [TooLargeError("9 MB"), TooLargeError("9 MB")])
    with pytest.raises(StreamError, match=r"in\[\d\] offset 0: its dead letter"):
        bench.runtime(inline(), transport=transport).run_until_idle()
    assert not any(c.offset for c in bench.broker.committed("g").values())


def test_a_broken_producer_stops_the_process_and_commits_nothing(bench):
    bench.publish(b"a")
    transport, _ = flaky(bench, [RuntimeError("fenced")])
    with pytest.raises(StreamError, match="fenced"):
        bench.runtime(inline(), transport=transport).run_until_idle()
    assert not any(c.offset for c in bench.broker.committed("g").values())


def test_too_many_dead_letters_stop_the_process(bench):
    bench.publish(*[b"fail"] * 10, partition=0)
    limit = DeadLetterLimit(ratio=1, consecutive=4)
    with pytest.raises(DeadLetterLimitError, match="4 events in a row"):
        bench.runtime(inline(), dead_letter_limit=limit).run_until_idle()
    assert len(bench.values("dead-letter")) == 4
    assert bench.offset(0) == 4


def test_stop_finishes_what_runs_and_takes_nothing_new(bench, script):
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


def test_stop_now_abandons_what_runs(bench, script):
    bench.publish(b"a", partition=0)
    runtime = bench.runtime()

    def steps():
        yield from until(lambda: bench.executor.orders)
        runtime.stop_now()
        yield

    runtime.run(until=script(steps))
    assert [o.record.value for o in bench.executor.abandoned] == [b"a"]
    assert bench.broker.committed("g")[TopicPartition("in", 0)] == CommitPoint(0)


def test_drain_ends_with_its_time(bench, script):
    bench.publish(b"a", partition=0)

    def steps():
        yield from until(lambda: bench.executor.orders)

    bench.runtime(drain_timeout_s=0.0).run(until=script(steps))
    assert bench.executor.abandoned
    assert bench.values() == []


def test_a_broker_that_stays_away_does_not_keep_the_process(bench, script):
    bench.publish(b"a")
    transport, _ = flaky(bench, [RetryableError("down")] * 100_000)
    runtime = bench.runtime(inline(), transport=transport, drain_timeout_s=3600.0)

    def steps():
        yield from until(lambda: bench.metric("send_failures_total") > 3)
        runtime.stop_now()
        yield

    runtime.run(until=script(steps))
    assert bench.values() == []
    assert not any(c.offset for c in bench.broker.committed("g").values())


def test_finished_work_of_a_revoked_partition_is_sent_and_committed(bench, script):
    bench.publish(b"a", partition=1)

    def steps():
        yield from until(lambda: bench.executor.orders)
        consumer = bench.transport.consumer("g")
        consumer.subscribe(["in"], on_assign=id, on_revoke=id, on_lost=id)
        bench.executor.finish(echo)
        yield from until(lambda: bench.metric("partitions") == 2)
        consumer.close()

    bench.runtime().run(until=script(steps))
    assert bench.values() == [b"a"]
    assert bench.offset(1) == 1
    assert not bench.executor.abandoned


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
    bench.runtime(inline()).run_until_idle()
    assert bench.metric("events_total", topic="in", outcome="processed", reason="") == 1
    assert bench.metric("dead_letters_total", topic="in", reason="internal") == 1
    assert bench.metric("latency_seconds_count", topic="in") == 2
    assert bench.metric("records_sent_total", topic="out") == 1
