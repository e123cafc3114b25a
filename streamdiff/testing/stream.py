"""Stand-ins for the stream runtime's collaborators, and tiny handlers."""

import os
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path

import scipy.fft

from streamdiff.errors import RetryableError
from streamdiff.model import Outcome, PreloadHint
from streamdiff.ports import (
    ConsumedRecord,
    Failure,
    Finished,
    Handler,
    Offsets,
    OutgoingRecord,
    Transactions,
    WorkOrder,
)

Result = Finished | Failure


@dataclass(slots=True, eq=False)
class FakeClock:
    """A `streamdiff.ports.Clock` that moves when told.

    Attributes
    ----------
    now : float
        Seconds, of both clocks.
    """

    now: float = 1_000_000.0

    def time(self) -> float:
        """Return seconds since 1970, UTC."""
        return self.now

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


@dataclass(slots=True, eq=False)
class ManualExecutor:
    """A `streamdiff.ports.Executor` whose work ends when the test says so.

    Attributes
    ----------
    workers : int
    orders : dict of Future to WorkOrder
        What is in work, oldest first.
    abandoned : list of WorkOrder
    started, closed : bool
    """

    workers: int = 4
    orders: dict[Future[Result], WorkOrder] = field(default_factory=dict)
    abandoned: list[WorkOrder] = field(default_factory=list)
    started: bool = False
    closed: bool = False

    def start(self) -> None:
        """Note that it was started."""
        self.started = True

    def submit(self, order: WorkOrder, *, timeout_s: float) -> Future[Result]:  # noqa: ARG002 - the port's
        """Note an order."""
        future: Future[Result] = Future()
        self.orders[future] = order
        return future

    def finish(
        self, work: Callable[[WorkOrder], Result], *, index: int = 0
    ) -> WorkOrder:
        """End one piece of work with a result."""
        future = list(self.orders)[index]
        order = self.orders.pop(future)
        future.set_result(work(order))
        return order

    def abandon(self, future: Future[Result]) -> None:
        """End one piece of work without a result."""
        if future in self.orders:
            self.abandoned.append(self.orders.pop(future))
            future.cancel()

    def close(self) -> None:
        """Note that it was closed."""
        self.closed = True


HINT = PreloadHint(
    instrument="SimCam", detector=1, band="bad", ra=10.0, dec=-5.0, radius_deg=0.1
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoHandler:
    """Answers each record with one of the same key and value.

    Values that begin with a command misbehave: ``die`` ends the process, ``hang``
    never ends, ``unpicklable`` returns what can not cross processes, ``fail`` raises,
    ``retry`` fails for now, ``late`` only until the third attempt. ``hint 3`` passes
    three hints on, and ``hints`` answers with how many came to this handler.
    """

    topic: str = "out"
    hints: list[PreloadHint] = field(default_factory=list)

    def preload(self, hint: PreloadHint) -> None:
        """Remember a hint; one of the band ``bad`` raises."""
        self.hints.append(hint)
        if hint.band == "bad":
            raise ValueError("no such template")

    def __call__(self, order: WorkOrder) -> Finished:
        """Return the answer."""
        value = order.record.value or b""
        command, _, number = value.partition(b" ")
        if command == b"die":
            os._exit(3)
        if command == b"hang":
            time.sleep(3600)
        if command == b"unpicklable":
            return Finished(log={"value": lambda: None})  # type: ignore[dict-item]
        if command == b"fail":
            raise ValueError("no good")
        if command == b"retry" or (command == b"late" and order.attempt < 3):
            raise RetryableError("not now")
        if command == b"hint":
            return Finished(hints=(HINT,) * int(number))
        if command == b"hints":
            return Finished(log={"hints": len(self.hints)})
        return echo(order, topic=self.topic)


def echo(order: WorkOrder, *, topic: str = "out") -> Finished:
    """Return an answer with the key and value of the record."""
    answer = OutgoingRecord(topic=topic, key=order.record.key, value=order.record.value)
    return Finished(records=(answer,), outcome=Outcome.PROCESSED)


def make_echo_handler() -> Handler:
    """Return an `EchoHandler`, in whatever process."""
    return EchoHandler()


def make_environment_handler() -> Handler:
    """Return a handler that tells the environment variable that its record names."""
    return tell_environment


def tell_environment(order: WorkOrder) -> Finished:
    """Return the value of an environment variable, and threads of transforms."""
    name = (order.record.value or b"").decode()
    return Finished(log={"value": os.environ.get(name), "fft": scipy.fft.get_workers()})


def make_process_handler() -> Handler:
    """Return a handler that tells the process it runs in."""
    return tell_process


def tell_process(order: WorkOrder) -> Finished:  # noqa: ARG001 - the port's
    """Return the id of the process as a log field."""
    return Finished(log={"pid": os.getpid()})


def fail_to_make_handler() -> Handler:
    """Raise an error instead of returning a handler."""
    raise ValueError("no such plugin")


@dataclass(frozen=True, slots=True)
class DyingFactory:
    """Makes an `EchoHandler` once this many processes have died of making it.

    Attributes
    ----------
    folder : Path
        Where they leave a file each.
    deaths : int
    """

    folder: Path
    deaths: int

    def __call__(self) -> Handler:
        """Return the handler, or end the process."""
        if len(list(self.folder.iterdir())) < self.deaths:
            (self.folder / str(os.getpid())).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return EchoHandler()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainReporter:
    """A `streamdiff.ports.FailureReporter` that sends the value and the reason."""

    topic: str = "dead-letter"

    def report(
        self, record: ConsumedRecord, failure: Failure, attempts: int
    ) -> tuple[OutgoingRecord, ...]:
        """Return one record with headers ``reason`` and ``attempts``."""
        headers = (
            ("reason", failure.reason.encode()),
            ("attempts", str(attempts).encode()),
        )
        return (
            OutgoingRecord(
                topic=self.topic, key=record.key, value=record.value, headers=headers
            ),
        )


@dataclass(slots=True, eq=False)
class FlakyProducer:
    """A `streamdiff.ports.Producer` that raises some errors before it sends.

    Attributes
    ----------
    send_to : callable
        The real sending.
    errors : list of Exception
        Raised one per call; then sending works.
    seen : list
        What each call was asked to send.
    """

    send_to: Callable[[Sequence[OutgoingRecord]], None]
    errors: list[Exception]
    seen: list[tuple[OutgoingRecord, ...]] = field(default_factory=list)

    def send(self, records: Sequence[OutgoingRecord]) -> None:
        """Send, or raise the next error."""
        self.seen.append(tuple(replace(r) for r in records))
        if self.errors:
            raise self.errors.pop(0)
        self.send_to(records)

    def close(self) -> None:
        """Do nothing."""


@dataclass(slots=True, eq=False)
class FlakyTransactions:
    """A `streamdiff.ports.Transactions` that raises some errors before it sends.

    Attributes
    ----------
    real : Transactions
        Does the sending.
    errors : list of Exception
        Raised one per call; then sending works.
    seen : list
        What each call was asked to send.
    """

    real: Transactions
    errors: list[Exception]
    seen: list[tuple[OutgoingRecord, ...]] = field(default_factory=list)

    def send(
        self,
        records: Sequence[OutgoingRecord],
        offsets: Offsets,
        *,
        is_ours: Callable[[], bool],
    ) -> None:
        """Send, or raise the next error."""
        self.seen.append(tuple(replace(r) for r in records))
        if self.errors:
            raise self.errors.pop(0)
        self.real.send(records, offsets, is_ours=is_ours)

    def close(self) -> None:
        """Do nothing."""
