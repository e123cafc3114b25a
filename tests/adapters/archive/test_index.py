"""The index of a log tells what it is about."""

from datetime import UTC, datetime

import pytest

from streamdiff.adapters.archive.index import (
    Contents,
    index_file,
    read_entries,
    read_head,
    write_index,
)
from streamdiff.adapters.archive.listing import Selection, list_logs, list_visits
from streamdiff.adapters.archive.subject import Subject, subjects
from streamdiff.adapters.avro.events import encode_event
from streamdiff.adapters.event_log import log_files, read_log, write_log
from streamdiff.errors import UndecodableError
from streamdiff.model import Action, TemplateUpdate, VisitReady
from streamdiff.ports import ConsumedRecord


def visit_ready(visit, detector=0, band="r"):
    return VisitReady(
        event_id=f"e{visit}",
        instrument="SimCam",
        visit=visit,
        detector=detector,
        band=band,
        midpoint_mjd_tai=61000.5,
        exposure_time_s=30.0,
        image_uri="s3://bucket/5.fits",
        published_at=datetime(2026, 11, 27, tzinfo=UTC),
    )


def record(value, topic="t.visit-ready", offset=0, **fields):
    return ConsumedRecord(
        topic=topic, partition=0, offset=offset, key=None, value=value, **fields
    )


def test_a_visit_is_named():
    value = encode_event(visit_ready(5, 3))
    assert subjects(record(value)) == (Subject("t.visit-ready", 5, 3, "r", "SimCam"),)


def test_json_is_read_too():
    text = (
        b'{"event_id":"e","instrument":"C","visit":5,"detector":3,"band":"g",'
        b'"midpoint_mjd_tai":6e4,"exposure_time_s":30.0,"image_uri":"file:///a",'
        b'"published_at":"2026-11-27T00:00:00+00:00"}'
    )
    json_header = ("content-type", b"application/json")
    expected = (Subject("t.visit-ready", 5, 3, "g", "C"),)
    assert subjects(record(text, headers=(json_header,))) == expected
    dead = (json_header, ("streamdiff.dlq.topic", b"t.visit-ready"))
    (subject,) = subjects(record(text, topic="t.dead-letter", headers=dead))
    assert (subject.topic, subject.visit) == ("t.dead-letter", 5)


def test_an_update_is_about_its_exposures():
    update = TemplateUpdate(
        event_id="u",
        band="r",
        action=Action.ADD,
        exposures=(visit_ready(1), visit_ready(2), visit_ready(2)),
        published_at=datetime(2026, 11, 27, tzinfo=UTC),
    )
    found = subjects(record(encode_event(update), topic="t.template-update"))
    assert [subject.visit for subject in found] == [1, 2]


@pytest.mark.parametrize("value", [None, b"", b"\x00\x00", b"{}", b"\xff" * 40])
def test_what_can_not_be_decoded_is_about_nothing(value):
    assert subjects(record(value)) == (Subject("t.visit-ready"),)


@pytest.fixture
def logs(tmp_path):
    """Two logs, the first one with an index."""
    first = [record(encode_event(visit_ready(v)), offset=v) for v in (3, 1, 2, 1)]
    second = [record(encode_event(visit_ready(v)), offset=v) for v in (2, 5)]
    write_log(tmp_path / "000001.avro", first)
    write_log(tmp_path / "000002.avro", second)
    contents = Contents()
    contents.add_block(read_log(tmp_path / "000001.avro"))
    write_index(tmp_path / "000001.avro", contents)
    return log_files([tmp_path])


def test_entries_are_sorted_and_counted(logs):
    entries = list(read_entries(logs[0]))
    assert [(e.subject.visit, e.records) for e in entries] == [(1, 2), (2, 1), (3, 1)]


def test_a_long_index_is_read_to_its_end(tmp_path):
    write_log(tmp_path / "a.avro", [])
    contents = Contents()
    for visit in range(500):
        contents.add(record(encode_event(visit_ready(visit)), offset=visit))
    write_index(tmp_path / "a.avro", contents)
    assert [e.subject.visit for e in read_entries(tmp_path / "a.avro")] == list(
        range(500)
    )


def test_logs_with_and_without_index_are_listed_as_one(logs):
    entries = list(list_visits(logs, Selection()))
    found = [(e.subject.visit, e.records) for e in entries]
    assert found == [(1, 2), (2, 2), (3, 1), (5, 1)]


def test_a_log_with_an_index_is_not_opened(logs):
    logs[0].write_bytes(b"gone")
    assert [e.subject.visit for e in list_visits(logs, Selection(visit=3))] == [3]
    assert [log.records for log in list_logs(logs)] == [4, 2]


def test_times_are_those_of_the_records(tmp_path):
    times = [5_000, 3_000, -1]
    write_log(
        tmp_path / "a.avro",
        [
            record(encode_event(visit_ready(1)), offset=n, timestamp_ms=time)
            for n, time in enumerate(times)
        ],
    )
    (entry,) = list_visits([tmp_path / "a.avro"], Selection())
    assert (entry.first_ms, entry.last_ms) == (3_000, 5_000)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]\n", b"\xff", b'{"spans":[1]}'])
def test_what_is_no_index_is_an_error(logs, content):
    index_file(logs[0]).write_bytes(content)
    with pytest.raises(UndecodableError, match="is no index"):
        read_head(logs[0])
    # the log itself tells the same
    assert len(list(list_visits(logs, Selection()))) == 4
