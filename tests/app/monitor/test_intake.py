"""Where the monitor reads: files that change, and a stream."""

import threading

import fastavro
import pytest

from streamdiff.adapters.avro import wire
from streamdiff.adapters.avro.container import write_alerts
from streamdiff.adapters.avro.events import encode_event
from streamdiff.adapters.clock import SystemClock
from streamdiff.adapters.event_log import write_log
from streamdiff.adapters.memory import MemoryBroker, MemoryTransport
from streamdiff.app.monitor.following import Stream, followed
from streamdiff.app.monitor.intake import FileIntake, Intake
from streamdiff.app.monitor.recent import Recent
from streamdiff.app.monitor.server import Address
from streamdiff.ports import ConsumedRecord, OutgoingRecord


@pytest.fixture
def recent():
    return Recent()


@pytest.fixture
def read(tmp_path, recent):
    """Return a function that reads what is new in a folder."""
    files = FileIntake(paths=(tmp_path,), intake=Intake(recent=recent))
    return files.read


def logged(topic, offset, value):
    return ConsumedRecord(
        topic=f"streamdiff.{topic}", partition=0, offset=offset, key=None, value=value
    )


@pytest.fixture
def messages(records, event, report):
    """Return the messages of a visit: its event, two alerts, its report."""
    return [
        ("visit-ready", encode_event(event(0))),
        ("alerts", wire.encode("alert", records[0])),
        ("alerts", wire.encode("alert", records[1])),
        ("visit-processed", encode_event(report(0))),
    ]


def test_a_folder_of_alerts_is_read_once_and_what_is_new_again(
    tmp_path, recent, read, records
):
    write_alerts(tmp_path / "SimCam_7_0.avro", records[:2])

    assert read() == 1
    assert read() == 0
    (tmp_path / "night").mkdir()
    write_alerts(tmp_path / "night" / "SimCam_7_1.avro", records[2:3])
    assert read() == 1
    assert [row.id for row in recent.picture().rows] == [1000, 1001, 1002]


def test_an_event_log_that_grows_is_read_on(tmp_path, recent, read, messages):
    records = [logged(topic, n, value) for n, (topic, value) in enumerate(messages)]
    write_log(tmp_path / "a.avro", records[:2])
    read()
    write_log(tmp_path / "a.avro", records)
    read()

    picture = recent.picture()
    assert (picture.n_alerts, picture.n_reports, len(picture.events)) == (2, 1, 1)


def test_alerts_of_another_survey_keep_their_schema(tmp_path, recent, read):
    source = {"visit": 1, "detector": 2, "ra": 3.0, "dec": 4.0, "midpointMjdTai": 5.0}
    schema = {
        "type": "record",
        "name": "theirs.alert",
        "fields": [
            {"name": "diaSourceId", "type": "long"},
            {"name": "theirOwn", "type": "string"},
            {
                "name": "diaSource",
                "type": {
                    "type": "record",
                    "name": "theirs.source",
                    "fields": [
                        {"name": n, "type": "long" if isinstance(v, int) else "double"}
                        for n, v in source.items()
                    ],
                },
            },
        ],
    }
    record = {"diaSourceId": 9, "theirOwn": "text", "diaSource": source}
    with (tmp_path / "theirs.avro").open("wb") as file:
        fastavro.writer(file, schema, [record])

    read()

    assert recent.packet(9).record() == record
    assert recent.picture().rows[0].snr is None


@pytest.mark.parametrize("content", [b"", b"no Avro", b"Obj\x01" + bytes(40)])
def test_a_file_that_is_no_container_is_a_problem_not_the_end(
    tmp_path, recent, read, records, content
):
    (tmp_path / "a.avro").write_bytes(content)
    write_alerts(tmp_path / "b.avro", records[:1])

    read()

    assert "a.avro" in recent.picture().problems[0]
    assert len(recent.picture().rows) == 1


def test_a_damaged_file_gives_what_is_whole(tmp_path, recent, read, records):
    write_alerts(tmp_path / "a.avro", records)
    content = (tmp_path / "a.avro").read_bytes()
    (tmp_path / "a.avro").write_bytes(content[:-100])

    read()

    assert "damaged" in recent.picture().problems[0]


def test_a_path_that_does_not_exist_is_a_problem(tmp_path, recent):
    missing = tmp_path / "missing.avro"
    FileIntake(paths=(missing,), intake=Intake(recent=recent)).read()

    assert str(missing) in recent.picture().problems[0]


def test_messages_that_are_hostile_are_problems(recent):
    intake = Intake(recent=recent)
    for topic in ("alerts", "visit-ready", "visit-processed"):
        for value in (None, b"", b"\x00\xff", bytes(100)):
            intake.take(logged(topic, 0, value), "a test")

    assert recent.picture().n_alerts == 0
    assert recent.picture().problems


class Watched(Recent):
    """Tells when a report has come."""

    def __init__(self):
        super().__init__(is_live=True)
        self.came = threading.Event()

    def add_report(self, report):
        super().add_report(report)
        self.came.set()


class Noted(MemoryTransport):
    """Notes the names of groups."""

    groups = ()

    def consumer(self, group):
        self.groups = (*self.groups, group)
        return super().consumer(group)


def test_a_stream_is_followed_and_nothing_is_committed(messages):
    broker = MemoryBroker({}, clock=SystemClock())
    recent = Watched()
    topics = [f"streamdiff.{topic}" for topic in dict(messages)]
    transport = Noted(broker)
    stream = Stream(
        transport=transport,
        topics=topics,
        group="night",
        intake=Intake(recent=recent),
    )
    with followed(stream.follow):
        for topic, value in messages:
            broker.produce(OutgoingRecord(topic=f"streamdiff.{topic}", value=value))
        assert recent.came.wait(30)

    assert recent.picture().n_reports == 1
    assert len(transport.groups) == 1
    assert transport.groups[0].startswith("night.monitor.")
    assert broker.committed(transport.groups[0]) == {}


@pytest.mark.parametrize(
    ("host", "is_local"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("192.0.2.1", False)],
)
def test_who_can_reach_an_address_is_known(host, is_local):
    assert Address(host=host).is_local is is_local
