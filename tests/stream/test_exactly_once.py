"""Results and offsets in one transaction: nothing counts twice."""

import threading

import pytest

from streamdiff.errors import RetryableError
from streamdiff.ports import TopicPartition
from streamdiff.testing.stream import echo


def test_an_aborted_transaction_sends_the_same_bytes_again(bench):
    bench.publish(b"a")
    transport, producer = bench.flaky([RetryableError("down")] * 2)
    runtime = bench.runtime(bench.inline(), transport=transport, exactly_once=True)
    runtime.run_until_idle()
    assert bench.values() == [b"a"]
    assert len(producer.seen) == 3
    assert len(set(producer.seen)) == 1


def test_the_offset_comes_with_the_results(bench, script, until):
    bench.publish(b"a", b"b", partition=1)

    def steps():
        yield from until(lambda: bench.executor.orders)
        bench.executor.finish(echo)
        yield from until(lambda: bench.values() == [b"a"])
        assert bench.offset(1) == 1

    bench.runtime(exactly_once=True).run(until=script(steps))


def test_an_attempt_that_was_not_noted_in_time_does_not_undo_the_commit(
    bench, script, until
):
    bench.publish(b"a", partition=1)
    refuse = threading.Event()
    refuse.set()
    real = bench.transport.consumer

    def consumer(group):
        made = real(group)
        commit = made.commit
        # a transaction is committed by the emitter thread, and is not refused
        made.commit = lambda offsets: (
            not (refuse.is_set() and threading.current_thread().name != "emitter")
            and commit(offsets)
        )
        return made

    bench.transport.consumer = consumer

    def steps():
        yield from until(lambda: bench.executor.orders)
        assert bench.offset(1) == 0
        bench.executor.finish(echo)
        yield from until(lambda: bench.offset(1) == 1)
        refuse.clear()
        bench.clock.advance(10)
        yield
        yield
        assert bench.offset(1) == 1

    bench.runtime(exactly_once=True).run(until=script(steps))
    assert bench.offset(1) == 1


@pytest.mark.parametrize("way", ["revoked", "expired"])
def test_results_of_a_partition_that_went_away_are_not_sent(bench, script, until, way):
    bench.publish(b"a", partition=1)
    errors = [RetryableError("down")] * 10_000
    transport, producer = bench.flaky(errors)
    rivals = []

    def steps():
        yield from until(lambda: bench.executor.orders)
        bench.executor.finish(echo)
        yield from until(lambda: producer.seen)
        if way == "expired":
            (member,) = bench.broker.group("g").topics
            member.expire()
        rivals.append(bench.transport.consumer("g"))
        rivals[0].subscribe(["in"], on_assign=id, on_revoke=id, on_lost=id)
        partition = TopicPartition("in", 1)
        own = bench.broker.group("g").owners
        for _ in range(100):
            rivals[0].poll(0)
            if own.get(partition) is rivals[0]:
                break
            yield
        errors.clear()
        yield from until(lambda: not bench.metric("events_in_work"))

    bench.runtime(transport=transport, exactly_once=True, revoke_timeout_s=-1.0).run(
        until=script(steps)
    )
    assert bench.values() == []
    assert bench.offset(1) == 0
    rivals[0].close()
