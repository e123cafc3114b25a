"""Good events and bad ones through the real service: what is told of each."""

import json
from dataclasses import fields
from operator import eq

import pytest
from astropy.io import fits

from streamdiff.adapters.avro import wire
from streamdiff.app.topics import Topics
from streamdiff.model import Outcome, Reason

TOPICS = Topics("streamdiff.")
FAILURES = {
    "missing": (Reason.UNREADABLE_IMAGE, "missing.fits"),
    "truncated": (Reason.UNREADABLE_IMAGE, "truncated.fits"),
    "without_wcs": (Reason.INVALID_EXPOSURE, "WCS"),
    "forbidden": (Reason.FORBIDDEN_URI, "/etc/passwd"),
    "changed": (Reason.CHECKSUM_MISMATCH, "sha256"),
    "odd_name": (Reason.UNREADABLE_IMAGE, "%FF.fits"),
    "wrong_variance": (Reason.VARIANCE_SCALE_EXCEEDED, "max_variance_scale"),
    "no_catalogue": (Reason.UNREADABLE_IMAGE, "stars.fits"),
    "forbidden_catalogue": (Reason.FORBIDDEN_URI, "/etc/passwd"),
}
# Where those fail that can be read; the host's own stages have no plugin.
STAGES = {"wrong_variance": ("rescale", "")}
SKIPS = {
    "other_band": {"band": "z"},
    "other_flavour": {"template_name": "shallow"},
    "other_version": {"template_version": 99},
}
NO_EVENTS = {
    b"this is no Avro": "0x74",
    b"\x00\x00\x00\x30\x39rest": "12345",
    b"": "0 bytes",
    b"\x00": "1 bytes",
}


def header(record, name):
    return dict(record.headers)[f"streamdiff.dlq.{name}"].decode()


def as_json(event):
    known = {f.name: getattr(event, f.name) for f in fields(event)}
    text = {name: value for name, value in known.items() if value is not None}
    return json.dumps(text, default=str).encode()


@pytest.fixture(scope="module")
def bad_visits(images, visit):
    """Events that fail, each for a reason of its own."""
    folder, _, event = images
    good = folder / event.image_uri.rpartition("/")[2]
    truncated, without_wcs = folder / "truncated.fits", folder / "without_wcs.fits"
    wrong_variance = folder / "wrong_variance.fits"
    truncated.write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    with fits.open(good) as hdus:
        for hdu in hdus:
            for keyword in ("CTYPE1", "CTYPE2"):
                hdu.header.remove(keyword, ignore_missing=True)
        hdus.writeto(without_wcs)
    with fits.open(good) as hdus:
        hdus["VARIANCE"].data /= 1000
        hdus.writeto(wrong_variance)
    changes = {
        "missing": {"image_uri": (folder / "missing.fits").as_uri()},
        "truncated": {"image_uri": truncated.as_uri()},
        "without_wcs": {"image_uri": without_wcs.as_uri()},
        "forbidden": {"image_uri": "file:///etc/passwd"},
        "changed": {"image_sha256": "0" * 64},
        "odd_name": {"image_uri": f"{folder.as_uri()}/%FF.fits"},
        "wrong_variance": {
            "image_uri": wrong_variance.as_uri(),
            "image_sha256": None,
        },
        "no_catalogue": {"catalogue_uri": (folder / "stars.fits").as_uri()},
        "forbidden_catalogue": {"catalogue_uri": "file:///etc/passwd"},
    }
    return [visit(event_id=name, **change) for name, change in changes.items()]


@pytest.fixture(scope="module")
def stream(new_stream, visit, bad_visits):
    """All that is no good, then a good visit, through one service."""
    stream = new_stream()
    for event in bad_visits:
        stream.send(TOPICS.visit_ready, event)
    for name, changes in SKIPS.items():
        stream.send(TOPICS.visit_ready, visit(event_id=name, **changes))
    for value in NO_EVENTS:
        stream.send_raw(TOPICS.visit_ready, value, key=b"SimCam/0")
    stream.send(TOPICS.visit_ready, visit(event_id="good"))
    stream.run()
    return stream


def test_a_visit_after_all_that_is_no_good_is_processed(stream):
    assert stream.reports()["good"].outcome is Outcome.PROCESSED


def test_a_visit_is_compared_with_templates_of_its_sky(stream):
    report = stream.reports()["good"]
    assert {use.version for use in report.templates} == {1}
    assert sum(use.fraction for use in report.templates) > 0.9
    assert report.provenance.plugins["subtract"].startswith("al streamdiff")


def test_each_alert_that_is_counted_is_published(stream):
    alerts = [wire.decode(record.value)[1] for record in stream.alerts()]
    report = stream.reports()["good"]
    assert len(alerts) == report.n_alerts > 0
    assert {alert["diaSource"]["visit"] for alert in alerts} == {report.visit}


@pytest.mark.parametrize("name", FAILURES)
def test_a_visit_that_fails_is_reported_with_its_reason(stream, name):
    report = stream.reports()[name]
    reason, told = FAILURES[name]
    assert (report.outcome, report.reason) == (Outcome.FAILED, reason)
    assert told in report.detail


def test_each_visit_that_fails_is_kept_as_a_dead_letter(stream):
    letters = [r for r in stream.dead_letters() if r.value not in NO_EVENTS]
    assert len(letters) == len(FAILURES)
    for letter, (name, (_, told)) in zip(letters, FAILURES.items(), strict=True):
        assert told in header(letter, "error_message")
        where = [header(letter, key) for key in ("stage", "plugin", "attempts")]
        assert where == [*STAGES.get(name, ("read", "fits")), "1"]


@pytest.mark.parametrize("value", NO_EVENTS)
def test_what_is_no_event_becomes_a_dead_letter_as_it_was(stream, value):
    (letter,) = (r for r in stream.dead_letters() if r.value == value)
    assert letter.key == b"SimCam/0"
    assert header(letter, "error_class") == "UndecodableError"
    assert NO_EVENTS[value] in header(letter, "error_message")
    assert header(letter, "topic") == TOPICS.visit_ready


@pytest.mark.parametrize("name", SKIPS)
def test_a_visit_without_a_template_is_skipped_not_failed(stream, name):
    report = stream.reports()[name]
    assert (report.outcome, report.reason) == (Outcome.SKIPPED, Reason.NO_TEMPLATE)


def test_every_event_has_one_report_and_nothing_else_has(stream):
    records = stream.broker.records(TOPICS.visit_processed)
    assert len(records) == len(stream.reports()) == len(FAILURES) + len(SKIPS) + 1


def test_the_same_event_gives_the_same_alerts_as_avro_and_as_json(new_stream, visit):
    # each in a stream of its own: one would skip the second as a duplicate
    by_avro, by_json = new_stream(), new_stream()
    by_avro.send(TOPICS.visit_ready, visit())
    by_json.send_raw(
        TOPICS.visit_ready,
        as_json(visit()),
        headers=(("content-type", b"application/json"),),
    )
    by_avro.run()
    by_json.run()
    alerts = [told(record) for record in by_avro.alerts()]
    assert alerts
    # Not by ==, for their parts are many thousand bytes.
    assert all(map(eq, [told(record) for record in by_json.alerts()], alerts))
    assert len(by_json.alerts()) == len(alerts)


def told(record):
    """Return an alert without the time of the clock at which it was made."""
    _, alert = wire.decode(record.value)
    assert alert["diaSource"].pop("timeProcessedMjdTai")
    return alert
