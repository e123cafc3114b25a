"""The thread that owns the one producer and sends finished events one by one."""

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Protocol

import structlog

from streamdiff.errors import RetryableError, UnprocessableError
from streamdiff.metrics import Metrics
from streamdiff.ports import CommitPoint, OutgoingRecord, Producer
from streamdiff.stream.lane import Lane
from streamdiff.stream.retry import Backoff

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """The results of one event and its offset: what is sent together.

    Attributes
    ----------
    lane : Lane
        Where the event came from; nothing is sent once it is closed.
    records : tuple of OutgoingRecord
    point : CommitPoint
        To be committed with, or after, the records.
    """

    lane: Lane
    records: tuple[OutgoingRecord, ...]
    point: CommitPoint


class Replies(Protocol):
    """What the emitter tells; called in the emitter thread."""

    def sent(self, unit: Unit) -> None:
        """All records of a unit were acknowledged."""
        ...

    def refused(self, unit: Unit, error: UnprocessableError) -> None:
        """A unit can not be sent, however often it is tried."""
        ...

    def broken(self, error: Exception) -> None:
        """The producer is gone for good; nothing more will be sent."""
        ...


class Emitter:
    """Sends units in order; a unit that fails is sent again, byte for byte.

    Parameters
    ----------
    open_producer : callable
        Called in the emitter thread, which owns what it returns.
    backoff : Backoff
        Waits between tries. There is no last try: giving up would lose the event.
    metrics : Metrics
    """

    def __init__(
        self,
        open_producer: Callable[[], Producer],
        *,
        backoff: Backoff,
        metrics: Metrics,
    ) -> None:
        self._open_producer = open_producer
        self._backoff = backoff
        self._metrics = metrics
        self._units: queue.SimpleQueue[Unit | None] = queue.SimpleQueue()
        self._given_up = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, replies: Replies) -> None:
        """Open the producer and wait for units."""
        self._thread = threading.Thread(
            target=self._run, args=(replies,), name="emitter", daemon=True
        )
        self._thread.start()

    def emit(self, unit: Unit) -> None:
        """Send a unit after those before it."""
        self._units.put(unit)

    def close(self, timeout_s: float) -> None:
        """Stop trying, and wait a time for the producer to close."""
        self._given_up.set()
        self._units.put(None)
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self, replies: Replies) -> None:
        try:
            producer = self._open_producer()
            try:
                while (unit := self._units.get()) is not None:
                    self._send(producer, unit, replies)
            finally:
                producer.close()
        except Exception as error:  # noqa: BLE001 - a silent thread would stall everything
            replies.broken(error)

    def _send(self, producer: Producer, unit: Unit, replies: Replies) -> None:
        for attempt in count(1):
            if self._given_up.is_set() or unit.lane.closed:
                return
            try:
                producer.send(unit.records)
            except RetryableError as error:
                self._wait(unit, attempt, error)
            except UnprocessableError as error:
                replies.refused(unit, error)
                return
            else:
                self._count(unit)
                replies.sent(unit)
                return

    def _wait(self, unit: Unit, attempt: int, error: RetryableError) -> None:
        delay_s = self._backoff.delay_s(attempt)
        self._metrics.send_failures.inc()
        log.warning(
            "send_failed",
            topic=unit.lane.partition.topic,
            partition=unit.lane.partition.partition,
            send_attempt=attempt,
            error=str(error),
            retry_in_s=round(delay_s, 3),
        )
        self._given_up.wait(delay_s)

    def _count(self, unit: Unit) -> None:
        for record in unit.records:
            self._metrics.records_sent.labels(record.topic).inc()
