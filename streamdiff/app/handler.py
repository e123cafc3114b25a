"""The work on one record, in a worker: decode, process, encode."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from streamdiff import __version__
from streamdiff.app.decoding import Event
from streamdiff.app.output import ResultFiles
from streamdiff.app.reports import Reporter
from streamdiff.model import (
    Alert,
    Outcome,
    PreloadHint,
    Reason,
    Skip,
    TemplateUpdate,
    VisitReady,
)
from streamdiff.pipeline.gate import BadDifferenceError
from streamdiff.pipeline.result import VisitResult
from streamdiff.pipeline.results import checked_messages
from streamdiff.pipeline.stage import StageCalls
from streamdiff.pipeline.templates import TemplatePipeline
from streamdiff.pipeline.visit import VisitPipeline
from streamdiff.ports import (
    ConsumedRecord,
    Finished,
    OutgoingRecord,
    WorkOrder,
)
from streamdiff.stages import AlertFormat, HeadedFormat

# When the message was made, in milliseconds since 1970: the name that LSST has for it.
PRODUCER_TIMESTAMP = "producer_timestamp"


log = structlog.get_logger(__name__)


def _load_none(hint: PreloadHint) -> int:  # noqa: ARG001
    """Load nothing."""
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EventHandler:
    """Turns one record of the stream into the records that answer it.

    Attributes
    ----------
    visits : VisitPipeline
    templates : TemplatePipeline
    formats : mapping of str to AlertFormat
        In the order of the configuration.
    reporter : Reporter
    results : ResultFiles
        What is kept in files, beside the stream.
    stale_after_s : float
        Age from which a visit is skipped; 0 for never.
    plugin_labels : mapping of str to str
        Stage -> "name distribution version" of its plugin.
    load_templates : callable
        Loads those of an announced field, and returns how many.
    """

    visits: VisitPipeline
    templates: TemplatePipeline
    formats: Mapping[str, AlertFormat]
    reporter: Reporter
    results: ResultFiles
    stale_after_s: float
    plugin_labels: Mapping[str, str] = field(default_factory=dict)
    load_templates: Callable[[PreloadHint], int] = _load_none

    def __call__(self, order: WorkOrder) -> Finished:
        """Return what is to be sent for a record.

        Raises
        ------
        UndecodableError
            If the record holds no event.
        UnprocessableError
            If the event fails for good.
        RetryableError
            If it may succeed a little later.
        """
        events = self.reporter.decoding.events(order.record)
        return _joined([self._answer(event, order) for event in events])

    def preload(self, hint: PreloadHint) -> None:
        """Load the templates of an announced field into this worker's memory."""
        began = self.reporter.clock.monotonic()
        n_loaded = self.load_templates(hint)
        log.info(
            "templates_preloaded",
            n_templates=n_loaded,
            instrument=hint.instrument,
            detector=hint.detector,
            band=hint.band,
            elapsed_s=round(self.reporter.clock.monotonic() - began, 3),
        )

    def _answer(self, event: Event, order: WorkOrder) -> Finished:
        match event:
            case PreloadHint():
                # This worker gets it back, like all others: offset and next event
                # are not to wait for it.
                return Finished(hints=(event,))
            case VisitReady():
                with structlog.contextvars.bound_contextvars(
                    visit=event.visit, detector=event.detector
                ):
                    return self._visit(event, order)
            case TemplateUpdate(template_id=None):
                return self._expanded(event)
            case TemplateUpdate():
                return self._template(event)

    def _visit(self, event: VisitReady, order: WorkOrder) -> Finished:
        self.reporter.observers.visit_started(event)
        try:
            result = self._skipped_unseen(event, order) or self.visits(event)
        except BadDifferenceError as err:
            self.results.keep(err.result)
            raise
        self.results.keep(result)
        # Nobody is told of a visit whose alerts can not be written.
        alerts = self._alert_records(result.alerts)
        report = self.reporter.visit(event, result, attempts=order.attempt)
        return Finished(
            records=(*alerts, report),
            outcome=result.outcome,
            reason=result.reason,
            stage_seconds=result.stage_seconds,
            log={
                "exposure": str(event.exposure_id),
                "visit": event.visit,
                "detector": event.detector,
                "n_alerts": len(result.alerts),
            },
            processed_ids=(event.event_id,)
            if result.outcome is Outcome.PROCESSED
            else (),
        )

    def _skipped_unseen(
        self, event: VisitReady, order: WorkOrder
    ) -> VisitResult | None:
        """Return the result of a visit that is not worked on, if it is one."""
        if event.event_id in order.recent:
            detail = (
                f"the event {event.event_id} was processed a short while ago; "
                "to process a visit again, publish it with another event_id"
            )
            return VisitResult.skipped(event, Skip(Reason.DUPLICATE_VISIT, detail))
        return self._stale(event, order.record)

    def _stale(self, event: VisitReady, record: ConsumedRecord) -> VisitResult | None:
        age_s = self.reporter.clock.time() - record.timestamp_ms / 1000
        if not self.stale_after_s or record.timestamp_ms < 0:
            return None
        if age_s <= self.stale_after_s:
            return None
        detail = f"{age_s:.0f} s old, the limit is {self.stale_after_s:g} s"
        return VisitResult.skipped(event, Skip(Reason.STALE, detail))

    def _alert_records(self, alerts: Sequence[Alert]) -> tuple[OutgoingRecord, ...]:
        """Return the messages of alerts: those of one alert beside each other."""
        columns = [
            self._in_format(rank, name, alerts)
            for rank, name in enumerate(self.formats)
        ]
        return tuple(record for row in zip(*columns, strict=True) for record in row)

    def _in_format(
        self, rank: int, name: str, alerts: Sequence[Alert]
    ) -> list[OutgoingRecord]:
        stage, topic = f"formats.{name}", self.reporter.topics.alerts(rank, name)
        calls = StageCalls(
            monotonic=self.reporter.clock.monotonic,
            names={stage: name},
            labels=self.plugin_labels,
        )
        own, messages = calls(stage, _messages, self.formats[name], alerts)
        with calls.judging(stage) as plugin:
            messages = checked_messages(plugin, messages)
        sent = f"{self.reporter.clock.time() * 1000:.0f}".encode()
        return [
            OutgoingRecord(
                topic=topic,
                key=_alert_key(alert),
                value=message,
                headers=(
                    *own,
                    ("streamdiff.event_id", alert.event_id.encode()),
                    (PRODUCER_TIMESTAMP, sent),
                ),
            )
            for alert, message in zip(alerts, messages, strict=True)
        ]

    def _expanded(self, event: TemplateUpdate) -> Finished:
        """Return one event per touched patch; its key gives it one worker."""
        updates = self.templates.expand(event)
        return Finished(
            records=tuple(
                self.reporter.message(self.reporter.topics.template_update, update)
                for update in updates
            ),
            log={"event_id": event.event_id, "n_patches": len(updates)},
        )

    def _template(self, event: TemplateUpdate) -> Finished:
        result = self.templates(event)
        return Finished(
            records=(self.reporter.template(event, result),),
            outcome=result.outcome,
            reason=result.reason,
            log={"template": str(result.template_id), "version": result.version},
        )


def _joined(answers: Sequence[Finished]) -> Finished:
    """Return one answer; a foreign message may stand for several events, or none."""
    if len(answers) == 1:
        return answers[0]
    return Finished(
        records=tuple(record for answer in answers for record in answer.records),
        outcome=answers[-1].outcome if answers else None,
        reason=answers[-1].reason if answers else None,
        log={"n_events": len(answers)},
        processed_ids=tuple(id_ for answer in answers for id_ in answer.processed_ids),
        hints=tuple(hint for answer in answers for hint in answer.hints),
    )


def _alert_key(alert: Alert) -> bytes:
    source = alert.dia_source
    return str(source.get("diaObjectId") or source["diaSourceId"]).encode()


def _messages(
    alert_format: AlertFormat, alerts: Sequence[Alert]
) -> tuple[tuple[tuple[str, bytes], ...], tuple[bytes, ...]]:
    """Return the headers that all messages have, and the messages of alerts."""
    encode = alert_format.encode
    return _format_headers(alert_format), tuple(encode(alert) for alert in alerts)


def _format_headers(alert_format: AlertFormat) -> tuple[tuple[str, bytes], ...]:
    own = alert_format.headers if isinstance(alert_format, HeadedFormat) else {}
    return (
        ("content-type", alert_format.content_type.encode()),
        *own.items(),
        ("streamdiff.version", __version__.encode()),
    )
