"""The work on one record, and who does it."""

import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol, Self, runtime_checkable

from streamdiff.errors import (
    ChangedInputError,
    RetryableError,
    StreamdiffError,
    UnprocessableError,
)
from streamdiff.model import Outcome, PreloadHint, Reason
from streamdiff.ports.stream import ConsumedRecord, OutgoingRecord

# Told where in the pipeline the work is: stage and plugin, or nothing.
Whereabouts = Callable[[str, str], None]


def _tell_nobody(stage: str, plugin: str) -> None:
    """Take no note of where the work is."""


# Whoever watches the work from another process sets this.
whereabouts: ContextVar[Whereabouts] = ContextVar("whereabouts", default=_tell_nobody)

LogValue = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkOrder:
    """One try at one record.

    Attributes
    ----------
    record : ConsumedRecord
    attempt : int
        1 for the first try, counted across restarts of the process.
    recent : frozenset of str
        Ids of events of its partition that were processed a short while ago.
    """

    record: ConsumedRecord
    attempt: int
    recent: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What the work on a record came to.

    Attributes
    ----------
    records : tuple of OutgoingRecord
        To be sent together with the record's offset.
    outcome : Outcome or None
        `None` for a record that is no event of its own, such as a hint.
    reason : Reason or None
        Why it was skipped or failed.
    stage_seconds : mapping of str to float
        Time spent in each stage [s].
    log : mapping of str to LogValue
        Fields for the one log line on this event.
    processed_ids : tuple of str
        Ids of the events that this answers in full.
    hints : tuple of PreloadHint
        What every worker may get ready for.
    """

    records: tuple[OutgoingRecord, ...] = ()
    outcome: Outcome | None = None
    reason: Reason | None = None
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    log: Mapping[str, LogValue] = field(default_factory=dict)
    processed_ids: tuple[str, ...] = ()
    hints: tuple[PreloadHint, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a try failed: an error as text, so that it crosses processes.

    Attributes
    ----------
    reason : Reason
    error_class, message, traceback : str
    stage, plugin : str
        Where in the pipeline; empty if unknown.
    retryable : bool
        Whether another try may succeed.
    metrics : mapping of str to float
        What was measured before it failed.
    spoils_worker : bool
        Whether whoever did the work is not to be trusted with more.
    """

    reason: Reason
    error_class: str
    message: str
    traceback: str = ""
    stage: str = ""
    plugin: str = ""
    retryable: bool = False
    metrics: Mapping[str, float] = field(default_factory=dict)
    spoils_worker: bool = False

    @classmethod
    def of(cls, error: Exception) -> Self:
        """Return the failure that an error stands for.

        Errors of streamdiff know their ``reason``; one that passed through a
        stage may carry the names ``stage`` and ``plugin``.
        """
        return cls(
            reason=_reason(error),
            error_class=type(error).__qualname__,
            message=str(error),
            traceback="".join(traceback.format_exception(error)),
            stage=getattr(error, "stage", None) or "",
            plugin=getattr(error, "plugin", None) or "",
            retryable=isinstance(error, RetryableError),
            metrics=dict(error.metrics)
            if isinstance(error, UnprocessableError)
            else {},
            spoils_worker=isinstance(error, ChangedInputError),
        )


def _reason(error: Exception) -> Reason:
    # other libraries' errors have a `reason` too, such as UnicodeDecodeError
    code = getattr(error, "reason", "") if isinstance(error, StreamdiffError) else ""
    return Reason(code) if code in set(Reason) else Reason.INTERNAL


class Handler(Protocol):
    """Does the work of one record, usually in a worker process."""

    def __call__(self, order: WorkOrder) -> Finished:
        """Return what is to be sent.

        Raises
        ------
        RetryableError
            If the same record may succeed a little later.
        Exception
            Anything else fails the record for good.
        """
        ...


@runtime_checkable
class Preloader(Handler, Protocol):
    """A handler that can get ready for what is announced."""

    def preload(self, hint: PreloadHint) -> None:
        """Load what an exposure is going to need; it may raise anything."""
        ...


class Executor(Protocol):
    """Runs a handler, several records at a time."""

    @property
    def workers(self) -> int:
        """Return how many records can be in work at once."""
        ...

    def start(self) -> None:
        """Return when every worker is ready.

        Raises
        ------
        StreamError
            If a worker can not be started.
        """
        ...

    def submit(
        self, order: WorkOrder, *, timeout_s: float
    ) -> "Future[Finished | Failure]":
        """Begin work that is cut off after a time.

        The future holds an exception only if the executor itself is broken.
        """
        ...

    def abandon(self, future: "Future[Finished | Failure]") -> None:
        """Stop work at once: nobody wants its result any more."""
        ...

    def close(self) -> None:
        """Stop all work at once and release the workers."""
        ...


class FailureReporter(Protocol):
    """Turns a failure into the records that tell of it."""

    def report(
        self, record: ConsumedRecord, failure: Failure, attempts: int
    ) -> tuple[OutgoingRecord, ...]:
        """Return the dead letter, and the failed outcome of a decodable visit."""
        ...
