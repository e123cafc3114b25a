from datetime import UTC, datetime
from io import BytesIO

import fastavro
import pytest

from streamdiff.adapters.avro import wire
from streamdiff.adapters.avro.container import container_bytes
from streamdiff.adapters.avro.events import encode_event
from streamdiff.adapters.avro.schemas import load
from streamdiff.adapters.event_log import write_log
from streamdiff.app.alerts.comparison import compare
from streamdiff.app.alerts.reading import (
    AlertFiles,
    Located,
    Place,
    VisitDetector,
)
from streamdiff.errors import ConfigError, UndecodableError
from streamdiff.model import Outcome, Reason, VisitProcessed
from streamdiff.ports import ConsumedRecord


def files(*paths, topic=None):
    return AlertFiles(paths=paths, topic=topic)


def ids(source):
    return [i.record["diaSourceId"] for i in source.read() if isinstance(i, Located)]


def report(visit, outcome=Outcome.PROCESSED):
    return encode_event(
        VisitProcessed(
            event_id=f"e{visit}",
            instrument="SimCam",
            visit=visit,
            detector=3,
            band="r",
            outcome=outcome,
            reason=None if outcome is Outcome.PROCESSED else Reason.INTERNAL,
            finished_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
    )


def test_a_folder_stands_for_all_its_containers(alerts, container, tmp_path):
    container(tmp_path / "b" / "2.avro", alerts[3:])
    container(tmp_path / "1.avro", alerts[:3])
    (tmp_path / "notes.txt").touch()
    assert ids(files(tmp_path)) == [a["diaSourceId"] for a in alerts]


def test_a_log_gives_the_same_alerts_as_a_container(
    alerts, container, event_log, logged_alerts, tmp_path
):
    stored = container(tmp_path / "stored.avro", alerts)
    logged = event_log(
        tmp_path / "logged.avro",
        [("streamdiff.visit-ready", b"anything"), *logged_alerts(alerts)],
    )
    found = compare(files(stored), files(logged))
    assert found.is_same
    assert found.counts.n_identical == len(alerts)


@pytest.mark.parametrize("name", ["streamdiff", "ocf", "single_object"])
def test_every_format_of_alerts_is_read_from_a_log(name, alerts, event_log, tmp_path):
    record = alerts[0]
    value = {
        "streamdiff": lambda: encode_wire(record),
        "ocf": lambda: container_bytes([record]),
        "single_object": lambda: single_object(record),
    }[name]()
    path = event_log(tmp_path / "log.avro", [("t.alerts", value)])
    (item,) = files(path).read()
    assert item.record["diaSource"]["psfFlux"] == record["diaSource"]["psfFlux"]
    assert item.record["cutoutScience"] == record["cutoutScience"]


def test_alerts_are_fetched_by_place(alerts, event_log, logged_alerts, tmp_path):
    paths = [
        event_log(tmp_path / f"{n}.avro", logged_alerts(alerts[6 * n : 6 * n + 6]))
        for n in range(2)
    ]
    wanted = [Place(1, 4), Place(0, 2), Place(1, 0)]
    fetched = files(*paths).fetch(wanted)
    assert [(i.place, i.record["diaSourceId"]) for i in fetched] == [
        (Place(0, 2), alerts[2]["diaSourceId"]),
        (Place(1, 0), alerts[6]["diaSourceId"]),
        (Place(1, 4), alerts[10]["diaSourceId"]),
    ]


def test_alerts_of_several_topics_must_be_told_apart(
    alerts, event_log, logged_alerts, tmp_path
):
    path = event_log(
        tmp_path / "log.avro",
        logged_alerts(alerts[:5]) + logged_alerts(alerts[:2], "shadow.alerts"),
    )
    with pytest.raises(ConfigError, match=r"shadow\.alerts, streamdiff\.alerts"):
        ids(files(path))
    assert len(ids(files(path, topic="shadow.alerts"))) == 2


def test_a_log_tells_which_visits_gave_no_alerts(event_log, tmp_path):
    path = event_log(
        tmp_path / "log.avro",
        [
            ("a.visit-processed", report(1)),
            ("a.visit-processed", report(2, Outcome.FAILED)),
            ("b.visit-processed", report(3)),
        ],
    )
    assert list(files(path).read()) == [VisitDetector(1, 3), VisitDetector(3, 3)]
    assert list(files(path, topic="a.alerts").read()) == [VisitDetector(1, 3)]


def test_an_empty_container_of_a_visit_tells_that_it_was_processed(container, tmp_path):
    path = container(tmp_path / "SimCam_12_3.avro", [])
    assert list(files(path).read()) == [VisitDetector(12, 3)]


@pytest.mark.parametrize("content", [b"", b"Obj\x01", b"SIMPLE  = T"])
def test_what_is_no_container_is_an_error(content, tmp_path):
    path = tmp_path / "x.avro"
    path.write_bytes(content)
    with pytest.raises(UndecodableError, match=r"x\.avro is no Avro container"):
        ids(files(path))


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(UndecodableError, match="can not be read"):
        ids(files(tmp_path / "x.avro"))
    with pytest.raises(UndecodableError, match="there are no alerts"):
        ids(files(tmp_path))


def test_a_container_of_other_records_is_an_error(tmp_path):
    path = tmp_path / "x.avro"
    schema = {"type": "record", "name": "cat", "fields": []}
    with path.open("wb") as file:
        fastavro.writer(file, schema, [{}])
    with pytest.raises(UndecodableError, match="holds cat: expected alerts"):
        ids(files(path))


def test_a_damaged_alert_is_named_by_its_place_in_the_stream(event_log, tmp_path):
    path = event_log(tmp_path / "x.avro", [("t.alerts", b"\0\0\0\0\x64garbage")])
    with pytest.raises(UndecodableError, match=r"t\.alerts \[0\] at 0 is no alert"):
        ids(files(path))


@pytest.mark.parametrize("value", [None, float("nan")])
def test_an_alert_without_position_is_not_compared(alert, side, value):
    lost = alert()
    lost["diaSource"]["ra"] = value
    with pytest.raises(UndecodableError, match=r"diaSource\.ra"):
        compare(side(lost), side())


def test_another_record_on_the_topic_of_alerts_is_an_error(event_log, tmp_path):
    path = event_log(tmp_path / "x.avro", [("t.alerts", report(1))])
    with pytest.raises(UndecodableError, match="no alert of a DiaSource"):
        ids(files(path))


def test_an_alert_of_another_schema_without_dia_source_is_an_error(tmp_path):
    path = tmp_path / "x.avro"
    fields = [{"name": "diaSource", "type": ["null", "string"], "default": None}]
    with path.open("wb") as file:
        fastavro.writer(file, {"type": "record", "name": "a", "fields": fields}, [{}])
    with pytest.raises(UndecodableError, match="alert 0 is no alert of a DiaSource"):
        ids(files(path))


def encode_wire(record):
    return wire.encode("alert", record)


def single_object(record):
    body = BytesIO()
    fastavro.schemaless_writer(body, load("alert"), record)
    return b"\xc3\x01" + bytes(8) + body.getvalue()


def named(record, schema):
    """Return a message whose header names its schema."""
    return ConsumedRecord(
        topic="t.alerts",
        partition=0,
        offset=0,
        key=None,
        value=encode_wire(record),
        headers=(("streamdiff.schema", schema),),
    )


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (b"lsst.v10_0.alert", "under lsst.v10_0.alert: read the topic of another"),
        (b"streamdiff.v9_9.alert", r"no schema streamdiff\.v9_9\.alert\.avsc"),
    ],
)
def test_a_message_under_another_schema_is_told_by_its_header(
    alerts, tmp_path, schema, said
):
    write_log(tmp_path / "log.avro", [named(alerts[0], schema)])
    with pytest.raises(UndecodableError, match=said):
        list(files(tmp_path / "log.avro").read())


@pytest.mark.parametrize("schema", [b"\xff\xfe", b"nobody.v1_0.alert", None])
def test_a_header_that_says_nothing_is_left_aside(alerts, tmp_path, schema):
    write_log(tmp_path / "log.avro", [named(alerts[0], schema)])
    (item,) = files(tmp_path / "log.avro").read()
    assert item.record["diaSourceId"] == alerts[0]["diaSourceId"]
