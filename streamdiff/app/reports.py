"""The reports on events: how one that was finished, or given up, is told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import structlog

from streamdiff import __version__
from streamdiff.adapters.avro.events import encode_event, message_key, schema_headers
from streamdiff.app.decoding import Decoding, Event
from streamdiff.app.observers import Observers
from streamdiff.app.topics import Topics
from streamdiff.errors import UndecodableError
from streamdiff.model import (
    Outcome,
    PreloadHint,
    Provenance,
    Reason,
    TemplateRebuilt,
    TemplateUpdate,
    VisitProcessed,
    VisitReady,
)
from streamdiff.pipeline.result import VisitResult
from streamdiff.pipeline.templates import TemplateResult
from streamdiff.ports import Clock, ConsumedRecord, Failure, OutgoingRecord
from streamdiff.stream.dead_letter import dead_letter, short_message

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporter:
    """Makes the records that tell how events ended, and tells the observers.

    Attributes
    ----------
    topics : Topics
    decoding : Decoding
    provenance : Provenance
    observers : Observers
    clock : Clock
    schema_ids : mapping of str to int
        What a Schema Registry calls the schemas of records, by their names.
    """

    topics: Topics
    decoding: Decoding
    provenance: Provenance
    observers: Observers
    clock: Clock
    schema_ids: Mapping[str, int] = field(default_factory=dict)

    def visit(
        self, event: VisitReady, result: VisitResult, *, attempts: int
    ) -> OutgoingRecord:
        """Return the report on a visit that was processed or skipped."""
        return self._visit_record(
            event,
            VisitProcessed(
                **_identity(event),
                outcome=result.outcome,
                reason=result.reason,
                detail=result.detail,
                n_alerts=len(result.alerts),
                n_filtered=result.n_filtered,
                metrics=result.metrics,
                stage_seconds=result.stage_seconds,
                templates=result.templates,
                provenance=self.provenance,
                attempts=attempts,
                finished_at=self._now(),
            ),
        )

    def template(self, event: TemplateUpdate, result: TemplateResult) -> OutgoingRecord:
        """Return the report on a rebuild."""
        return self._template_record(
            TemplateRebuilt(
                event_id=event.event_id,
                template_id=str(result.template_id),
                version=result.version,
                outcome=result.outcome,
                reason=result.reason,
                n_epochs=sum(item.accepted for item in result.inputs),
                inputs=result.inputs,
                metrics=result.metrics,
                software_version=__version__,
                finished_at=self._now(),
            )
        )

    def report(
        self, record: ConsumedRecord, failure: Failure, attempts: int
    ) -> tuple[OutgoingRecord, ...]:
        """Return the dead letter, and the failed outcome of a decodable event."""
        letter = dead_letter(
            record,
            failure,
            attempts=attempts,
            topic=self.topics.dead_letter,
            clock=self.clock,
        )
        try:
            events = self.decoding.events(record)
        except UndecodableError:
            return (letter,)
        try:
            failed = [self._failed(event, failure, attempts) for event in events]
        except Exception:
            # the dead letter tells enough: no event may stop all others
            log.exception(
                "report_failed", topic=record.topic, stream_offset=record.offset
            )
            return (letter,)
        return (*(report for report in failed if report is not None), letter)

    def _failed(
        self, event: Event, failure: Failure, attempts: int
    ) -> OutgoingRecord | None:
        match event:
            case VisitReady():
                return self._failed_visit(event, failure, attempts)
            case TemplateUpdate(template_id=None) | PreloadHint():
                return None
            case TemplateUpdate():
                return self._failed_template(event, failure)

    def _failed_visit(
        self, event: VisitReady, failure: Failure, attempts: int
    ) -> OutgoingRecord:
        return self._visit_record(
            event,
            VisitProcessed(
                **_identity(event),
                outcome=Outcome.FAILED,
                reason=failure.reason,
                detail=short_message(failure.message) or None,
                metrics=failure.metrics,
                provenance=self.provenance,
                attempts=attempts,
                finished_at=self._now(),
            ),
        )

    def _failed_template(
        self, event: TemplateUpdate, failure: Failure
    ) -> OutgoingRecord:
        return self._template_record(
            TemplateRebuilt(
                event_id=event.event_id,
                template_id=str(event.template_id),
                version=0,
                outcome=Outcome.FAILED,
                reason=Reason(failure.reason),
                software_version=__version__,
                finished_at=self._now(),
            )
        )

    def _visit_record(
        self, event: VisitReady, report: VisitProcessed
    ) -> OutgoingRecord:
        self.observers.visit_ended(event, report)
        return self.message(self.topics.visit_processed, report)

    def _template_record(self, report: TemplateRebuilt) -> OutgoingRecord:
        self.observers.template_rebuilt(report)
        return self.message(self.topics.template_rebuilt, report)

    def message(
        self, topic: str, event: VisitProcessed | TemplateRebuilt | TemplateUpdate
    ) -> OutgoingRecord:
        """Return the message of a report, or of an update that others are to do."""
        return OutgoingRecord(
            topic=topic,
            key=message_key(event),
            value=encode_event(event, ids=self.schema_ids),
            headers=schema_headers(event, self.schema_ids),
        )

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self.clock.time(), tz=UTC)


def _identity(event: VisitReady) -> dict[str, Any]:
    names = ("event_id", "instrument", "visit", "detector", "band")
    return {name: getattr(event, name) for name in names}
