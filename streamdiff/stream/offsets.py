"""Where the group stands: commit points, and the attempts noted beside them."""

import json

import structlog

from streamdiff.metrics import Metrics
from streamdiff.ports import Clock, CommitPoint, Consumer, TopicPartition

log = structlog.get_logger()

_PAUSE_AFTER_REFUSAL_S = 0.5


def with_attempt(offset: int, attempt: int) -> CommitPoint:
    """Return the commit point of a record that has been dispatched before."""
    if attempt == 0:
        return CommitPoint(offset)
    return CommitPoint(offset, json.dumps({"attempt": attempt}))


def attempts_made(point: CommitPoint | None, offset: int) -> int:
    """Return how often the record at an offset has been dispatched.

    Metadata that something else wrote counts for nothing.
    """
    if point is None or point.offset != offset or not point.metadata:
        return 0
    try:
        attempt = json.loads(point.metadata)["attempt"]
    except (ValueError, TypeError, KeyError):
        return 0
    return attempt if isinstance(attempt, int) and attempt > 0 else 0


class CommitLedger:
    """The commit points that are to be committed; used by the poll thread alone.

    A refused commit stays in the ledger: during a rebalance the group refuses
    everything, also for partitions that stay.
    """

    def __init__(self, consumer: Consumer, clock: Clock, metrics: Metrics) -> None:
        self._consumer = consumer
        self._clock = clock
        self._metrics = metrics
        self._due: dict[TopicPartition, CommitPoint] = {}
        self._not_before = clock.monotonic()

    def note(self, partition: TopicPartition, point: CommitPoint) -> None:
        """Replace the commit point of a partition."""
        self._due[partition] = point

    def forget(self, partition: TopicPartition) -> None:
        """Drop what is due for a partition that is not ours any more."""
        self._due.pop(partition, None)

    @property
    def is_empty(self) -> bool:
        """Return whether everything is committed."""
        return not self._due

    def flush(self, *, at_once: bool = False) -> None:
        """Commit everything that is due, unless it was refused a moment ago."""
        if not self._due or not (
            at_once or self._clock.monotonic() >= self._not_before
        ):
            return
        if self._consumer.commit(self._due):
            self._due.clear()
        else:
            self._metrics.commit_failures.inc()
            self._not_before = self._clock.monotonic() + _PAUSE_AFTER_REFUSAL_S
