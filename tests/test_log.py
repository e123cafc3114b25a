import io
import json

import pytest
import structlog

from streamdiff import log


@pytest.fixture(autouse=True)
def _defaults():
    yield
    structlog.reset_defaults()


def logged(**options):
    stream = io.StringIO()
    log.configure(stream=stream, **options)
    structlog.get_logger().info("event_finished", elapsed_s=1.5)
    return stream.getvalue()


def test_a_file_gets_one_json_object_per_line():
    line = json.loads(logged())
    assert line["event"] == "event_finished"
    assert line["elapsed_s"] == 1.5
    assert line["level"] == "info"


def test_text_can_be_asked_for():
    assert "event_finished" in logged(json=False)
    assert "\x1b" not in logged(json=False)


def test_what_is_less_severe_is_not_written():
    assert logged(level="warning") == ""


def test_an_exception_keeps_its_traceback_in_json():
    stream = io.StringIO()
    log.configure(stream=stream)
    try:
        int("no good")
    except ValueError:
        structlog.get_logger().exception("failed")
    assert json.loads(stream.getvalue())["exception"][0]["exc_type"] == "ValueError"


def test_values_that_are_no_json_are_written_as_text():
    stream = io.StringIO()
    log.configure(stream=stream)
    structlog.get_logger().info("x", where=io.StringIO)
    assert "StringIO" in json.loads(stream.getvalue())["where"]
