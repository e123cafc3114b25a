from dataclasses import dataclass, field, replace

import pytest
import structlog

from streamdiff import __version__
from streamdiff.adapters.avro.events import decode_event
from streamdiff.app.decoding import Decoding
from streamdiff.app.handler import EventHandler
from streamdiff.app.output import ResultFiles
from streamdiff.errors import SubtractionError, UndecodableError
from streamdiff.model import Alert, Outcome, Reason, TemplateId
from streamdiff.pipeline.gate import BadDifferenceError
from streamdiff.pipeline.result import VisitResult
from streamdiff.pipeline.templates import TemplateResult
from streamdiff.ports import WorkOrder


@dataclass
class Visits:
    """A visit pipeline that gives the alerts, or the error, that it is told."""

    alerts: tuple = ()
    error: Exception | None = None
    asked: list = field(default_factory=list)

    def __call__(self, event):
        self.asked.append(event)
        if self.error:
            raise self.error
        return VisitResult(
            event=event,
            outcome=Outcome.PROCESSED,
            alerts=self.alerts,
            stage_seconds={"read": 0.5},
        )


@dataclass
class TellingVisits(Visits):
    """The same, with what was bound to the log."""

    bound: dict = field(default_factory=dict)


class Templates:
    """A template pipeline: every covering update touches two patches."""

    def expand(self, event):
        return [replace(event, tract=5, patch=patch) for patch in (6, 7)]

    def __call__(self, event):
        return TemplateResult(template_id=event.template_id, version=3)


@dataclass(frozen=True)
class Text:
    """An alert format."""

    content_type: str

    def encode(self, alert):
        return f"{self.content_type}:{alert.dia_source['diaSourceId']}".encode()


@dataclass(frozen=True)
class Headed(Text):
    """The same with a header of its own."""

    @property
    def headers(self):
        return {"streamdiff.schema": b"s"}


@dataclass(frozen=True)
class Foreign:
    """A decoder that answers every foreign message with the same events."""

    events: tuple

    def decode(self, record):
        return self.events


def alert(dia_source_id, dia_object_id=None):
    return Alert(
        event_id="visit-7",
        dia_source={"diaSourceId": dia_source_id, "diaObjectId": dia_object_id},
        cutout_difference=None,
        cutout_science=None,
        cutout_template=None,
    )


@pytest.fixture
def handle(reporter, record):
    """Return the answer of a handler to an event or bytes."""

    nothing = ResultFiles(directory=None, alerts=True, differences=True)

    def run(
        content, visits=None, *, decoders=(), stale_after_s=0.0, kept=nothing, **order
    ):
        handler = EventHandler(
            visits=visits or Visits(),
            templates=Templates(),
            formats={"first": Text("a/first"), "second": Headed("a/second")},
            reporter=replace(reporter, decoding=Decoding(decoders=decoders)),
            results=kept,
            stale_after_s=stale_after_s,
        )
        attempt, recent = order.pop("attempt", 1), order.pop("recent", frozenset())
        return handler(
            WorkOrder(record=record(content, **order), attempt=attempt, recent=recent)
        )

    return run


def test_a_visit_is_answered_with_alerts_in_every_format_and_a_report(handle, visit):
    answer = handle(visit(), Visits(alerts=(alert(1), alert(2))), attempt=2)
    *alerts, report = answer.records
    assert [(r.topic, r.value) for r in alerts] == [
        ("s.alerts", b"a/first:1"),
        ("s.alerts.second", b"a/second:1"),
        ("s.alerts", b"a/first:2"),
        ("s.alerts.second", b"a/second:2"),
    ]
    told = decode_event(report)
    assert report.topic == "s.visit-processed"
    assert (told.outcome, told.n_alerts, told.attempts) == (Outcome.PROCESSED, 2, 2)
    assert answer.outcome is Outcome.PROCESSED
    assert answer.stage_seconds == {"read": 0.5}
    assert answer.log == {
        "exposure": str(visit().exposure_id),
        "visit": 7,
        "detector": 0,
        "n_alerts": 2,
    }


def test_lines_about_a_visit_name_it(handle, visit):
    class Visits(TellingVisits):
        def __call__(self, event):
            self.bound.update(structlog.contextvars.get_contextvars())
            return super().__call__(event)

    visits = Visits()
    handle(visit(detector=3), visits)
    assert visits.bound == {"visit": 7, "detector": 3}
    assert not structlog.contextvars.get_contextvars()


@pytest.mark.parametrize(
    ("dia_object_id", "key"), [(None, b"41"), (0, b"41"), (9, b"9")]
)
def test_the_key_of_an_alert_is_its_object_else_its_source(
    handle, visit, dia_object_id, key
):
    answer = handle(visit(), Visits(alerts=(alert(41, dia_object_id),)))
    assert {record.key for record in answer.records[:-1]} == {key}


def test_an_alert_says_what_it_is_and_where_it_comes_from(handle, visit, clock):
    first, second, _ = handle(visit(), Visits(alerts=(alert(1),))).records
    expected = {
        "content-type": b"a/first",
        "streamdiff.event_id": b"visit-7",
        "streamdiff.version": __version__.encode(),
        "producer_timestamp": f"{clock.now * 1000:.0f}".encode(),
    }
    assert dict(first.headers) == expected
    assert dict(second.headers) == expected | {
        "content-type": b"a/second",
        "streamdiff.schema": b"s",
    }


@pytest.mark.parametrize(
    ("age_s", "limit_s", "is_skipped"),
    [(99, 100, False), (101, 100, True), (1e6, 0, False)],
)
def test_a_visit_that_is_too_old_is_skipped_unseen(
    handle, visit, clock, age_s, limit_s, is_skipped
):
    visits = Visits()
    timestamp_ms = int((clock.now - age_s) * 1000)
    answer = handle(visit(), visits, stale_after_s=limit_s, timestamp_ms=timestamp_ms)
    assert (answer.reason is Reason.STALE) is is_skipped
    assert bool(visits.asked) is not is_skipped


def test_an_event_that_was_processed_already_is_skipped_unseen(handle, visit):
    first = handle(visit())
    assert first.processed_ids == ("visit-7",)
    visits = Visits()
    again = handle(visit(), visits, recent=frozenset(first.processed_ids))
    (report,) = again.records
    told = decode_event(report)
    assert (told.outcome, told.reason) == (Outcome.SKIPPED, Reason.DUPLICATE_VISIT)
    assert "visit-7" in told.detail
    assert not visits.asked
    assert again.processed_ids == ()
    assert handle(visit(event_id="new"), recent=again.processed_ids).records


def test_a_visit_that_was_skipped_may_come_again(handle, visit, clock):
    timestamp_ms = int((clock.now - 100) * 1000)
    answer = handle(visit(), stale_after_s=1.0, timestamp_ms=timestamp_ms)
    assert answer.processed_ids == ()


def test_a_record_without_a_time_is_never_stale(handle, visit):
    answer = handle(visit(), stale_after_s=1.0, timestamp_ms=-1)
    assert answer.outcome is Outcome.PROCESSED


def test_an_update_of_a_patch_is_answered_with_a_report(handle, update):
    answer = handle(update())
    (report,) = answer.records
    assert report.topic == "s.template-rebuilt"
    assert decode_event(report).version == 3
    assert answer.outcome is Outcome.PROCESSED


def test_a_covering_update_becomes_one_event_for_each_patch(handle, update):
    answer = handle(update(covering=True))
    assert {record.topic for record in answer.records} == {"s.template-update"}
    assert [record.key for record in answer.records] == [b"5/6/r", b"5/7/r"]
    ids = [decode_event(record).template_id for record in answer.records]
    assert ids == [TemplateId(tract=5, patch=n, band="r") for n in (6, 7)]
    assert answer.outcome is None


def test_what_the_pipeline_raises_is_left_to_the_executor(handle, visit):
    with pytest.raises(SubtractionError, match="no stars"):
        handle(visit(), Visits(error=SubtractionError("no stars")))


@dataclass
class Kept:
    """Files that are only noted."""

    results: list = field(default_factory=list)

    def keep(self, result):
        self.results.append(result)


def test_the_images_of_a_bad_difference_are_kept(handle, visit):
    kept = Kept()
    result = VisitResult(
        event=visit(), outcome=Outcome.FAILED, reason=Reason.BAD_SUBTRACTION
    )
    with pytest.raises(BadDifferenceError, match="too much"):
        handle(visit(), Visits(error=BadDifferenceError("too much", result)), kept=kept)
    assert kept.results == [result]


def test_what_is_no_event_is_undecodable(handle):
    with pytest.raises(UndecodableError):
        handle(b"rubbish")


def test_a_foreign_hint_is_answered_with_nothing(handle):
    answer = handle(b"hint", decoders=[Foreign(())])
    assert (answer.records, answer.outcome) == ((), None)


def test_the_answers_to_the_events_of_one_message_are_sent_together(
    handle, visit, update
):
    events = (visit(event_id="e1"), visit(event_id="e2"), update())
    answer = handle(b"three", decoders=[Foreign(events)])
    told = [decode_event(record).event_id for record in answer.records]
    assert told == ["e1", "e2", "update-1"]
    assert answer.outcome is Outcome.PROCESSED
    assert answer.log == {"n_events": 3}
