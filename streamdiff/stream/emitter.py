"""The thread that owns the one producer, and sends finished events one by one."""

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import structlog
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
)

from streamdiff.errors import RetryableError, UnprocessableError
from streamdiff.metrics import Metrics
from streamdiff.ports import CommitPoint, OutgoingRecord, Producer, Transactions
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


class Outbox(Protocol):
    """Sends one unit; raises what `Producer.send` and `Transactions.send` do."""

    def send(self, unit: Unit) -> None:
        """Send a unit."""
        ...

    def close(self) -> None:
        """Release the connection."""
        ...


@dataclass(frozen=True, slots=True)
class PlainOutbox:
    """Sends the records; the offset is committed afterwards, by the poll thread."""

    producer: Producer

    def send(self, unit: Unit) -> None:
        """Send the records of a unit."""
        self.producer.send(unit.records)

    def close(self) -> None:
        """Release the connection."""
        self.producer.close()


@dataclass(frozen=True, slots=True)
class TransactionalOutbox:
    """Sends records and offset in one transaction."""

    transactions: Transactions

    def send(self, unit: Unit) -> None:
        """Send a unit, unless its partition goes away meanwhile."""
        self.transactions.send(
            unit.records,
            {unit.lane.partition: unit.point},
            is_ours=lambda: not unit.lane.closed,
        )

    def close(self) -> None:
        """Release the connection."""
        self.transactions.close()


class Emitter:
    """Sends units in order; a unit that fails is sent again, byte for byte.

    Parameters
    ----------
    open_outbox : callable
        Called in the emitter thread, which owns what it returns.
    backoff : Backoff
        Waits between tries. There is no last try: giving up would lose the event.
    metrics : Metrics
    """

    def __init__(
        self,
        open_outbox: Callable[[], Outbox],
        *,
        backoff: Backoff,
        metrics: Metrics,
    ) -> None:
        self._open_outbox = open_outbox
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
            outbox = self._open_outbox()
            try:
                while (unit := self._units.get()) is not None:
                    self._send(outbox, unit, replies)
            finally:
                outbox.close()
        except Exception as error:  # noqa: BLE001 - a silent thread would stall everything
            replies.broken(error)

    def _send(self, outbox: Outbox, unit: Unit, replies: Replies) -> None:
        try:
            for attempt in self._attempts(unit):
                with attempt:
                    if self._given_up.is_set() or unit.lane.closed:
                        return
                    outbox.send(unit)
        except UnprocessableError as error:
            replies.refused(unit, error)
        else:
            self._count(unit)
            replies.sent(unit)

    def _attempts(self, unit: Unit) -> Retrying:
        return Retrying(
            retry=retry_if_exception_type(RetryableError),
            wait=lambda state: self._backoff.delay_s(state.attempt_number),
            sleep=sleep_using_event(self._given_up),
            before_sleep=partial(self._tell, unit),
        )

    def _tell(self, unit: Unit, state: RetryCallState) -> None:
        self._metrics.send_failures.inc()
        error = state.outcome.exception() if state.outcome else None
        log.warning(
            "send_failed",
            topic=unit.lane.partition.topic,
            partition=unit.lane.partition.partition,
            send_attempt=state.attempt_number,
            error=str(error),
            retry_in_s=round(state.upcoming_sleep, 3),
        )

    def _count(self, unit: Unit) -> None:
        for record in unit.records:
            self._metrics.records_sent.labels(record.topic).inc()
