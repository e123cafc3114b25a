import pytest

from streamdiff.adapters.avro.events import decode_event
from streamdiff.errors import SubtractionError
from streamdiff.model import (
    CoaddInput,
    Outcome,
    Reason,
    Skip,
    TemplateId,
    TemplateRebuilt,
    VisitProcessed,
)
from streamdiff.pipeline.result import VisitResult
from streamdiff.pipeline.templates import TemplateResult
from streamdiff.ports import Failure

FAILURE = Failure.of(SubtractionError("no stars"))


def test_a_failed_visit_has_a_report_and_a_dead_letter(reporter, record, visit):
    report, letter = reporter.report(record(visit()), FAILURE, 3)
    told = decode_event(report)
    assert isinstance(told, VisitProcessed)
    assert (told.event_id, told.visit, told.band) == ("visit-7", 7, "r")
    assert (told.outcome, told.reason) == (Outcome.FAILED, Reason.BAD_SUBTRACTION)
    assert (told.detail, told.attempts) == ("no stars", 3)
    assert told.provenance.config_hash == "c0ffee"
    assert (report.topic, letter.topic) == ("s.visit-processed", "s.dead-letter")
    assert letter.value == record(visit()).value


def test_a_failed_rebuild_has_a_report_and_a_dead_letter(reporter, record, update):
    report, letter = reporter.report(record(update()), FAILURE, 1)
    told = decode_event(report)
    assert isinstance(told, TemplateRebuilt)
    assert (told.template_id, told.version) == ("deep/5/6/r", 0)
    assert (told.outcome, told.reason) == (Outcome.FAILED, Reason.BAD_SUBTRACTION)
    assert (report.topic, letter.topic) == ("s.template-rebuilt", "s.dead-letter")


def test_an_update_of_no_patch_in_particular_has_a_dead_letter_alone(
    reporter, record, update
):
    (letter,) = reporter.report(record(update(covering=True)), FAILURE, 1)
    assert letter.topic == "s.dead-letter"


@pytest.mark.parametrize("value", [b"", b"no event", b"\x00\x00\x00\x00\x01"])
def test_what_can_not_be_decoded_has_a_dead_letter_alone(reporter, record, value):
    (letter,) = reporter.report(record(value), FAILURE, 1)
    assert (letter.topic, letter.value) == ("s.dead-letter", value)


def test_a_report_sent_as_an_event_is_a_dead_letter(reporter, record, visit):
    report, _ = reporter.report(record(visit()), FAILURE, 1)
    answers = reporter.report(record(report.value), FAILURE, 1)
    assert [answer.topic for answer in answers] == ["s.dead-letter"]


@pytest.mark.parametrize("message", ["", "\udcff", "\x00", "x" * 100_000])
def test_no_message_of_an_error_can_stop_its_report(reporter, record, visit, message):
    failure = Failure(reason=Reason.INTERNAL, error_class="E", message=message)
    report, _ = reporter.report(record(visit()), failure, 1)
    assert decode_event(report).outcome is Outcome.FAILED


def test_a_failed_visit_is_told_with_what_was_measured(reporter, record, visit):
    error = SubtractionError("too much is left")
    error.metrics = {"difference_footprint_ratio_mean": 0.5}
    report, _ = reporter.report(record(visit()), Failure.of(error), 1)
    assert decode_event(report).metrics == error.metrics


def test_a_report_that_can_not_be_made_costs_only_itself(reporter, record, update):
    failure = Failure(reason="out of the list", error_class="E", message="")
    (letter,) = reporter.report(record(update()), failure, 1)
    assert letter.topic == "s.dead-letter"


def test_a_skipped_visit_is_told_with_its_detail(reporter, visit):
    result = VisitResult.skipped(visit(), Skip(Reason.NO_TEMPLATE, "none of band r"))
    told = decode_event(reporter.visit(visit(), result, attempts=1))
    assert (told.outcome, told.reason) == (Outcome.SKIPPED, Reason.NO_TEMPLATE)
    assert told.detail == "none of band r"


def test_a_rebuild_counts_the_epochs_that_were_accepted(reporter, visit, update):
    inputs = tuple(
        CoaddInput(id=visit(visit=n).exposure_id, weight=0.5, accepted=n != 1)
        for n in range(3)
    )
    result = TemplateResult(
        template_id=TemplateId(tract=5, patch=6, band="r"),
        version=4,
        inputs=inputs,
        metrics={"coverage": 0.5, "psf_fwhm_pixel": 3.25},
    )
    told = decode_event(reporter.template(update(), result))
    assert (told.version, told.n_epochs, len(told.inputs)) == (4, 2, 3)
    assert [item.accepted for item in told.inputs] == [True, False, True]
    assert told.metrics == result.metrics


def test_the_time_is_that_of_the_clock(reporter, clock, record, visit):
    report, _ = reporter.report(record(visit()), FAILURE, 1)
    assert decode_event(report).finished_at.timestamp() == clock.now
