"""Records of a log through an executor."""

from concurrent.futures import Future
from itertools import groupby

import pytest

from streamdiff.model import Reason
from streamdiff.ports import ConsumedRecord, Failure, Finished
from streamdiff.stream import replay
from streamdiff.stream.replay import replayed

FAULT = Failure(
    reason=Reason.STORE_UNAVAILABLE, error_class="E", message="m", retryable=True
)
BAD = Failure(reason=Reason.INTERNAL, error_class="E", message="m")


def record(partition, offset):
    return ConsumedRecord(
        topic="in", partition=partition, offset=offset, key=None, value=b""
    )


class Eager:
    """Ends each order at once, with the answers of its record, or as finished."""

    def __init__(self, workers=2, answers=None):
        self.workers = workers
        self.answers = answers or {}
        self.tried, self.in_work, self.most = [], set(), 0

    def submit(self, order, *, timeout_s):
        where = order.record.partition, order.record.offset
        self.tried.append((*where, order.attempt))
        future = Future()
        left = self.answers.get(where, [])
        future.set_result(left.pop(0) if left else Finished())
        return future


def run(records, executor, **options):
    return list(
        replayed(records, executor, timeout_s=1, **{"max_attempts": 3, **options})
    )


def test_every_record_is_answered_once():
    records = [record(p, o) for o in range(20) for p in range(3)]
    answers = run(records, Eager())
    assert sorted(r.offset * 3 + r.partition for r, _ in answers) == list(range(60))


def test_the_order_of_a_partition_is_kept():
    records = [record(p, o) for p in range(3) for o in range(20)]
    tried = sorted(tried_of(records), key=lambda t: t[0])
    for _, of_partition in groupby(tried, key=lambda t: t[0]):
        offsets = [offset for _, offset, _ in of_partition]
        assert offsets == sorted(offsets)


def tried_of(records):
    executor = Eager(workers=4)
    run(records, executor)
    return executor.tried


def test_one_record_of_a_partition_is_in_work():
    started = []

    class Lazy(Eager):
        def submit(self, order, *, timeout_s):
            started.append(order.record)
            return super().submit(order, timeout_s=timeout_s)

    answers = replayed(
        [record(0, 0), record(0, 1), record(1, 0)],
        Lazy(workers=3),
        timeout_s=1,
        max_attempts=1,
    )
    next(answers)
    assert [(r.partition, r.offset) for r in started] == [(0, 0), (1, 0)]


def test_a_passing_fault_gets_another_try():
    executor = Eager(answers={(0, 0): [FAULT, FAULT]})
    assert run([record(0, 0)], executor) == [(record(0, 0), Finished())]
    assert [attempt for *_, attempt in executor.tried] == [1, 2, 3]


@pytest.mark.parametrize("failure", [FAULT, BAD])
def test_a_failure_is_told_in_the_end(failure):
    executor = Eager(answers={(0, 0): [failure] * 9})
    answers = run([record(0, 0), record(0, 1)], executor, max_attempts=2)
    assert dict(answers) == {record(0, 0): failure, record(0, 1): Finished()}


def test_a_log_is_read_little_by_little(monkeypatch):
    monkeypatch.setattr(replay, "LOOK_AHEAD", 10)
    read = []

    def endless():
        for offset in range(10**9):
            read.append(offset)
            yield record(offset % 2, offset)

    answers = replayed(endless(), Eager(), timeout_s=1, max_attempts=1)
    for _ in range(100):
        next(answers)
    assert len(read) < 120


def test_what_was_first_is_tried_first():
    records = [record(0, 0), *(record(p, 1) for p in (1, 0, 2, 1)), record(0, 2)]
    executor = Eager(workers=1)
    run(records, executor)
    assert [(p, o) for p, o, _ in executor.tried] == [
        (r.partition, r.offset) for r in records
    ]
