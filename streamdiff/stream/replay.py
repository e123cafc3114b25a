"""Records of a log through an executor, without a stream: as fast as it works."""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace

from streamdiff.ports import (
    ConsumedRecord,
    Executor,
    Failure,
    Finished,
    TopicPartition,
    WorkOrder,
)
from streamdiff.stream.recent import RecentEvents

# Records that are read ahead, so that every worker finds a partition of its own.
LOOK_AHEAD = 1000

Answer = tuple[ConsumedRecord, Finished | Failure]


def replayed(
    records: Iterable[ConsumedRecord],
    executor: Executor,
    *,
    timeout_s: float,
    max_attempts: int,
) -> Iterator[Answer]:
    """Yield what the work on each record came to, as it ends.

    One record of a partition is in work at a time, in their order; partitions are
    worked on side by side, the first record first. What may succeed at another try
    gets one, at once.

    Parameters
    ----------
    records : iterable of ConsumedRecord
        Read no more than `LOOK_AHEAD` ahead.
    executor : Executor
        Started.
    timeout_s : float
        Work on one record is cut off after this time.
    max_attempts : int

    Raises
    ------
    StreamError
        If the executor is broken.
    """
    queue = _Queue(records)
    in_work: dict[Future[Finished | Failure], WorkOrder] = {}
    while True:
        while len(in_work) < executor.workers:
            record = queue.take()
            if record is None:
                break
            order = WorkOrder(
                record=record, attempt=1, recent=queue.recent(record.topic_partition)
            )
            in_work[executor.submit(order, timeout_s=timeout_s)] = order
        if not in_work:
            return
        done, _ = wait(in_work, return_when=FIRST_COMPLETED)
        for future in done:
            order, result = in_work.pop(future), future.result()
            again = isinstance(result, Failure) and result.retryable
            if again and order.attempt < max_attempts:
                order = replace(order, attempt=order.attempt + 1)
                in_work[executor.submit(order, timeout_s=timeout_s)] = order
                continue
            queue.release(order.record.topic_partition, result)
            yield order.record, result


class _Queue:
    """Records by partition; of each, the next one once the last is done."""

    def __init__(self, records: Iterable[ConsumedRecord]) -> None:
        self._source = enumerate(records)
        # With the place of each among all.
        self._waiting: dict[TopicPartition, deque[tuple[int, ConsumedRecord]]] = {}
        self._n_waiting = 0
        self._busy: set[TopicPartition] = set()
        self._recent: dict[TopicPartition, RecentEvents] = defaultdict(RecentEvents)

    def take(self) -> ConsumedRecord | None:
        """Return the first one of the partitions that have none in work, if any."""
        self._fill()
        free = min(
            (p for p in self._waiting if p not in self._busy),
            key=lambda p: self._waiting[p][0][0],
            default=None,
        )
        if free is None:
            return None
        _, record = self._waiting[free].popleft()
        if not self._waiting[free]:
            del self._waiting[free]
        self._n_waiting -= 1
        self._busy.add(free)
        return record

    def recent(self, partition: TopicPartition) -> frozenset[str]:
        """Return the ids of events of a partition that were processed last."""
        return self._recent[partition].ids

    def release(self, partition: TopicPartition, result: Finished | Failure) -> None:
        """Let the next record of a partition be taken."""
        self._busy.remove(partition)
        if isinstance(result, Finished):
            self._recent[partition].add(result.processed_ids)

    def _fill(self) -> None:
        while self._n_waiting < LOOK_AHEAD:
            following = next(self._source, None)
            if following is None:
                return
            partition = following[1].topic_partition
            self._waiting.setdefault(partition, deque()).append(following)
            self._n_waiting += 1
