"""One partition while this process holds it: a short queue and one event in work."""

from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from enum import Enum, auto

from streamdiff.ports import (
    CommitPoint,
    ConsumedRecord,
    Failure,
    Finished,
    TopicPartition,
)
from streamdiff.stream.offsets import attempts_made
from streamdiff.stream.recent import RecentEvents

DEPTH = 2  # undispatched events; more would only be fetched again after a rebalance


class Phase(Enum):
    """Where the event in work is."""

    DUE = auto()  # waits for a worker, or for the end of its back-off
    RUNNING = auto()
    SENDING = auto()


@dataclass(slots=True, kw_only=True)
class Work:
    """The one event in work of a lane.

    Attributes
    ----------
    record : ConsumedRecord
    attempt : int
        How often it has been dispatched, also by earlier processes.
    phase : Phase
    not_before : float
        End of its back-off, on the monotonic clock [s].
    began : float or None
        When it was first dispatched, on the monotonic clock [s].
    future : Future or None
        Its result, while it runs.
    finished : Finished or None
        What it came to, once that is known.
    failure : Failure or None
        Why the last try failed.
    gave_up : bool
        Whether ``finished`` is the report of ``failure``.
    """

    record: ConsumedRecord
    attempt: int
    phase: Phase = Phase.DUE
    not_before: float = 0.0
    began: float | None = None
    future: "Future[Finished | Failure] | None" = None
    finished: Finished | None = None
    failure: Failure | None = None
    gave_up: bool = False


class Lane:
    """A partition from its assignment until it is revoked.

    A partition that comes back gets a new lane, so that what was begun under the
    old one can not be mistaken for work of the new one.

    Attributes
    ----------
    partition : TopicPartition
    waiting : deque of ConsumedRecord
        Read but not dispatched.
    work : Work or None
    closed : bool
        Whether the partition is gone; read by the emitter thread.
    paused : bool
    turn : int
        When it was last served, to serve all in turn.
    recent : RecentEvents
    """

    def __init__(self, partition: TopicPartition, start: CommitPoint | None) -> None:
        self.partition = partition
        self.waiting: deque[ConsumedRecord] = deque()
        self.work: Work | None = None
        self.closed = False
        self.paused = False
        self.turn = 0
        self.recent = RecentEvents()
        self._start = start

    @property
    def is_full(self) -> bool:
        """Return whether no more should be fetched."""
        return len(self.waiting) >= DEPTH

    @property
    def is_idle(self) -> bool:
        """Return whether there is nothing to do."""
        return self.work is None and not self.waiting

    def due(self, now: float) -> bool:
        """Return whether an event could be given to a worker."""
        if self.work is None:
            return bool(self.waiting)
        return self.work.phase is Phase.DUE and now >= self.work.not_before

    def take(self) -> Work:
        """Return the event in work, or begin with the next one."""
        if self.work is None:
            record = self.waiting.popleft()
            self.work = Work(
                record=record, attempt=attempts_made(self._start, record.offset)
            )
        return self.work
