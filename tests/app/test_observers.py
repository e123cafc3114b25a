import pytest
from structlog.testing import capture_logs

from streamdiff.errors import SubtractionError
from streamdiff.hookspecs import hookimpl
from streamdiff.model import Reason, Skip, TemplateId
from streamdiff.pipeline.result import VisitResult
from streamdiff.pipeline.templates import TemplateResult
from streamdiff.ports import Failure


class Notes:
    """An observer that notes what it is told."""

    def __init__(self):
        self.taken = []

    @hookimpl
    def streamdiff_visit_started(self, event):
        self.taken.append(("started", event.event_id))

    @hookimpl
    def streamdiff_visit_finished(self, event, report):
        self.taken.append(("finished", report.outcome))

    @hookimpl
    def streamdiff_visit_failed(self, report):
        self.taken.append(("failed", report.reason))

    @hookimpl
    def streamdiff_template_rebuilt(self, report):
        self.taken.append(("rebuilt", report.template_id))


class Broken:
    @hookimpl
    def streamdiff_visit_started(self, event):
        raise RuntimeError("no disk")


@pytest.fixture
def notes(manager):
    observer = Notes()
    manager.register(observer, name="notes")
    return observer


def test_an_observer_hears_that_work_begins(reporter, notes, visit):
    reporter.observers.visit_started(visit())
    assert notes.taken == [("started", "visit-7")]


def test_an_observer_hears_of_a_visit_that_was_skipped(reporter, notes, visit):
    skipped = VisitResult.skipped(visit(), Skip(Reason.STALE))
    reporter.visit(visit(), skipped, attempts=1)
    assert notes.taken == [("finished", "skipped")]


def test_an_observer_hears_of_a_visit_that_failed(reporter, notes, record, visit):
    reporter.report(record(visit()), Failure.of(SubtractionError("bad")), 1)
    assert notes.taken == [("failed", "bad_subtraction")]


def test_an_observer_hears_of_a_rebuild(reporter, notes, update):
    result = TemplateResult(template_id=TemplateId(tract=5, patch=6, band="r"))
    reporter.template(update(), result)
    assert notes.taken == [("rebuilt", "deep/5/6/r")]


def test_an_observer_that_fails_is_logged_and_the_others_are_told(
    reporter, notes, manager, visit
):
    manager.register(Broken(), name="broken_package")
    with capture_logs() as logs:
        reporter.observers.visit_started(visit())
    (line,) = logs
    assert line["event"] == "observer_failed"
    assert line["plugin"] == "broken_package"
    assert line["hook"] == "streamdiff_visit_started"
    assert notes.taken == [("started", "visit-7")]
