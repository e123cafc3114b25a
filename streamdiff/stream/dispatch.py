"""The way of an event: to a worker, back with a result, out through the emitter."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import replace
from functools import partial

import structlog

from streamdiff.errors import StreamError, UnprocessableError
from streamdiff.metrics import Metrics
from streamdiff.model import Outcome, Reason
from streamdiff.ports import (
    Clock,
    ConsumedRecord,
    Executor,
    Failure,
    FailureReporter,
    Finished,
    OutgoingRecord,
    WorkOrder,
)
from streamdiff.stream.dead_letter import smaller
from streamdiff.stream.emitter import Unit
from streamdiff.stream.lane import Lane, Phase, Work
from streamdiff.stream.limits import DeadLetterCount
from streamdiff.stream.mailbox import Mailbox
from streamdiff.stream.offsets import CommitLedger, with_attempt
from streamdiff.stream.settings import RuntimeSettings

log = structlog.get_logger()

_TRIES_IN_TIME = 2


class Dispatcher:
    """Keeps the workers busy, fairly over the lanes; used by the poll thread alone.

    Parameters
    ----------
    settings : RuntimeSettings
    executor : Executor
    reporter : FailureReporter
    emit : callable
        Hands a unit to the emitter.
    ledger : CommitLedger
    mailbox : Mailbox
        Where the results of workers arrive.
    clock : Clock
    metrics : Metrics
    """

    def __init__(
        self,
        settings: RuntimeSettings,
        *,
        executor: Executor,
        reporter: FailureReporter,
        emit: Callable[[Unit], None],
        ledger: CommitLedger,
        mailbox: Mailbox,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._executor = executor
        self._reporter = reporter
        self._emit = emit
        self._ledger = ledger
        self._mailbox = mailbox
        self._clock = clock
        self._metrics = metrics
        self._dead_letters = DeadLetterCount(settings.dead_letter_limit)
        self._running = 0
        self._turns = 0

    @property
    def _commits_with_records(self) -> bool:
        # Then a lane that is sending belongs to the emitter: what is committed
        # beside it could come later, and undo it.
        return self._settings.exactly_once

    @property
    def running(self) -> int:
        """Return how many workers are busy, also with abandoned work."""
        return self._running

    def start_due(self, lanes: Iterable[Lane]) -> None:
        """Give free workers the next events, longest-waiting lane first.

        The attempt is committed before the worker begins, so that it counts even
        if the whole process dies of it.
        """
        now = self._clock.monotonic()
        claimed: list[tuple[Lane, Work]] = []
        for lane in sorted(lanes, key=lambda lane: lane.turn):
            if self._running + len(claimed) >= self._executor.workers:
                break
            if lane.due(now) and (work := self._claim(lane)):
                claimed.append((lane, work))
        self._ledger.flush()
        for lane, work in claimed:
            self._start(lane, work)

    def abandon(self, lane: Lane) -> None:
        """Close a lane; what is in work there will be done again by its next owner."""
        lane.closed = True
        lane.waiting.clear()
        work = lane.work
        if work is None or work.phase is Phase.DUE:
            return
        if not self._commits_with_records or work.phase is not Phase.SENDING:
            # being interrupted is no fault of the event: this try does not count
            point = with_attempt(work.record.offset, work.attempt - 1)
            self._ledger.note(lane.partition, point)
        self._metrics.abandoned.inc()
        _log_for(work).info("event_abandoned", phase=work.phase.name.lower())
        if work.future is not None:
            self._executor.abandon(work.future)

    def sent(self, unit: Unit) -> None:
        """Note that the results of an event were acknowledged.

        Raises
        ------
        DeadLetterLimitError
            If too many events have failed.
        """
        work = unit.lane.work
        if unit.lane.closed or work is None or work.finished is None:
            return
        unit.lane.work = None
        unit.lane.recent.add(work.finished.processed_ids)
        if not self._commits_with_records:
            self._ledger.note(unit.lane.partition, unit.point)
        self._tell(work, work.finished)
        failed = work.gave_up or work.finished.outcome is Outcome.FAILED
        self._dead_letters.add(failed=failed)

    def refused(self, unit: Unit, error: UnprocessableError) -> None:
        """Report an event whose results can not be sent as failed.

        A dead letter that can not be sent is sent without its largest parts.

        Raises
        ------
        StreamError
            If even that can not be sent.
        """
        work = unit.lane.work
        if unit.lane.closed or work is None or work.finished is None:
            return
        if not work.gave_up:
            self._give_up(unit.lane, work, Failure.of(error))
            return
        reduced = tuple(smaller(record) for record in unit.records)
        if reduced == unit.records:
            raise StreamError(
                f"{_name(work.record)}: its dead letter can not be sent, not even "
                f"without traceback and value: {error}"
            ) from error
        _log_for(work).warning("dead_letter_reduced", error=str(error))
        self._send(unit.lane, work, replace(work.finished, records=reduced))

    def _claim(self, lane: Lane) -> Work | None:
        """Return the lane's event, or `None` if its attempts are used up."""
        self._turns += 1
        lane.turn = self._turns
        work = lane.take()
        if work.attempt >= self._settings.max_attempts:
            self._give_up(lane, work, work.failure or _died_before(work.attempt))
            return None
        work.attempt += 1
        point = with_attempt(work.record.offset, work.attempt)
        self._ledger.note(lane.partition, point)
        return work

    def _start(self, lane: Lane, work: Work) -> None:
        now = self._clock.monotonic()
        work.began = work.began if work.began is not None else now
        work.phase = Phase.RUNNING
        self._running += 1
        future = self._executor.submit(
            WorkOrder(record=work.record, attempt=work.attempt, recent=lane.recent.ids),
            timeout_s=self._settings.topics[work.record.topic],
        )
        work.future = future
        future.add_done_callback(
            lambda done: self._mailbox.post(partial(self._done, lane, work, done))
        )

    def _done(self, lane: Lane, work: Work, future: Future[Finished | Failure]) -> None:
        self._running -= 1
        work.future = None
        if lane.closed:
            return
        match future.result():
            case Finished() as finished:
                self._send(lane, work, finished)
            case failure:
                self._failed(lane, work, failure)

    def _failed(self, lane: Lane, work: Work, failure: Failure) -> None:
        work.failure = failure
        if failure.reason in {Reason.TIMEOUT, Reason.WORKER_DIED}:
            self._metrics.workers_lost.labels(failure.reason).inc()
        if not failure.retryable or work.attempt >= self._tries(failure):
            self._give_up(lane, work, failure)
            return
        delay_s = self._settings.work_backoff.delay_s(work.attempt)
        work.phase = Phase.DUE
        work.not_before = self._clock.monotonic() + delay_s
        self._metrics.retries.labels(work.record.topic, failure.reason).inc()
        _log_for(work).warning(
            "attempt_failed", **_described(failure), retry_in_s=round(delay_s, 3)
        )

    def _tries(self, failure: Failure) -> int:
        limit = self._settings.max_attempts
        # one that took too long is likely to do so again, and that is expensive
        return min(limit, _TRIES_IN_TIME) if failure.reason is Reason.TIMEOUT else limit

    def _give_up(self, lane: Lane, work: Work, failure: Failure) -> None:
        work.gave_up = True
        self._metrics.dead_letters.labels(work.record.topic, failure.reason).inc()
        _log_for(work).error(
            "event_dead_lettered",
            **_described(failure),
            traceback=failure.traceback,
        )
        finished = Finished(
            records=self._report(work, failure),
            outcome=Outcome.FAILED,
            reason=failure.reason,
        )
        self._send(lane, work, finished)

    def _report(self, work: Work, failure: Failure) -> tuple[OutgoingRecord, ...]:
        try:
            return self._reporter.report(work.record, failure, work.attempt)
        except Exception as error:
            raise StreamError(
                f"{_name(work.record)}: its failure can not be reported: {error}"
            ) from error

    def _send(self, lane: Lane, work: Work, finished: Finished) -> None:
        work.finished = finished
        work.phase = Phase.SENDING
        # the records behind it are read from the next offset on
        point = with_attempt(work.record.offset + 1, 0)
        if self._commits_with_records:
            # an attempt still to be noted would take the offset back again
            self._ledger.forget(lane.partition)
        self._emit(Unit(lane=lane, records=finished.records, point=point))

    def _tell(self, work: Work, finished: Finished) -> None:
        topic = work.record.topic
        began = self._clock.monotonic() if work.began is None else work.began
        elapsed_s = self._clock.monotonic() - began
        outcome = finished.outcome or "none"
        self._metrics.events.labels(topic, outcome, finished.reason or "").inc()
        self._metrics.event_seconds.labels(topic).observe(elapsed_s)
        for stage, seconds in finished.stage_seconds.items():
            self._metrics.stage_seconds.labels(stage).observe(seconds)
        if work.record.timestamp_ms >= 0:
            latency_s = self._clock.time() - work.record.timestamp_ms / 1000
            self._metrics.latency_seconds.labels(topic).observe(max(0.0, latency_s))
        _log_for(work).info(
            "event_finished",
            outcome=str(outcome),
            reason=finished.reason and str(finished.reason),
            records=len(finished.records),
            elapsed_s=round(elapsed_s, 3),
            **finished.log,
        )


def _died_before(attempts: int) -> Failure:
    return Failure(
        reason=Reason.WORKER_DIED,
        error_class="ProcessDied",
        message=f"the process ended {attempts} times while this event was in work",
    )


def _described(failure: Failure) -> dict[str, str]:
    return {
        "reason": str(failure.reason),
        "error_class": failure.error_class,
        "error": failure.message,
        "stage": failure.stage,
        "plugin": failure.plugin,
    }


def _name(record: ConsumedRecord) -> str:
    return f"{record.topic}[{record.partition}] offset {record.offset}"


def _log_for(work: Work) -> structlog.typing.FilteringBoundLogger:
    bound: structlog.typing.FilteringBoundLogger = log.bind(
        topic=work.record.topic,
        partition=work.record.partition,
        stream_offset=work.record.offset,
        attempt=work.attempt,
    )
    return bound
