"""What a partition remembers of the events it has answered."""

from dataclasses import replace

from streamdiff.adapters.workers import InlineExecutor
from streamdiff.ports import ConsumedRecord
from streamdiff.stream.recent import RecentEvents
from streamdiff.stream.replay import replayed
from streamdiff.testing.stream import echo


def test_only_the_last_are_remembered():
    recent = RecentEvents(n_remembered=2)
    recent.add(["a", "b"])
    recent.add(["a", "c"])
    assert recent.ids == {"a", "c"}


def answered(order):
    """Answer an event whose id is its value."""
    return replace(echo(order), processed_ids=(order.record.value.decode(),))


def test_a_worker_is_told_what_its_partition_has_answered(bench, script, until):
    bench.publish(b"a", b"b", partition=0)
    bench.publish(b"c", partition=1)
    told = {}

    def work(order):
        told[order.record.value] = order.recent
        return answered(order)

    def steps():
        for n_answered in (1, 2, 3):
            yield from until(lambda: bench.executor.orders)
            bench.executor.finish(work)
            yield from until(lambda: len(bench.values()) == n_answered)  # noqa: B023

    bench.runtime().run(until=script(steps))
    assert told == {b"a": frozenset(), b"b": {"a"}, b"c": frozenset()}


def test_a_partition_that_was_away_knows_nothing(bench, script, until):
    # The answer before may never have been committed.
    bench.publish(b"a", b"b", partition=0)

    def steps():
        yield from until(lambda: bench.executor.orders)
        bench.executor.finish(answered)
        yield from until(lambda: bench.values() == [b"a"])
        yield from until(lambda: bench.executor.orders)
        for member in list(bench.broker.group("g").topics):
            member.expire()
        yield from until(lambda: bench.executor.abandoned)
        yield from until(lambda: bench.executor.orders)
        assert bench.executor.finish(answered).recent == frozenset()
        yield from until(lambda: bench.values() == [b"a", b"b"])

    bench.runtime().run(until=script(steps))


def test_a_replay_tells_the_same():
    told = {}

    def work(order):
        told[order.record.value] = order.recent
        return answered(order)

    records = [
        ConsumedRecord(topic="in", partition=p, offset=o, key=None, value=value)
        for p, o, value in ((0, 0, b"a"), (1, 0, b"c"), (0, 1, b"b"))
    ]
    executor = InlineExecutor(lambda: work)
    executor.start()
    list(replayed(records, executor, timeout_s=1, max_attempts=1))
    assert told == {b"a": frozenset(), b"c": frozenset(), b"b": {"a"}}
