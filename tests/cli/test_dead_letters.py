"""Dead letters of an embedded broker are listed, shown and sent again."""

import json
from datetime import UTC, datetime
from io import StringIO

import pytest

from streamdiff.adapters.avro.events import encode_event
from streamdiff.adapters.embedded import EmbeddedBroker
from streamdiff.adapters.event_log import write_log
from streamdiff.errors import InvalidExposureError
from streamdiff.model import Reason, VisitReady
from streamdiff.ports import ConsumedRecord, Failure
from streamdiff.stream.dead_letter import dead_letter, smaller
from streamdiff.testing.stream import FakeClock

IN, DEAD = "streamdiff.visit-ready", "streamdiff.dead-letter"
HEADERS = (("a", b"\xff"), ("a", None))


def event(n):
    return VisitReady(
        event_id=f"e{n}",
        instrument="SimCam",
        visit=n,
        detector=0,
        band="r",
        midpoint_mjd_tai=61000.5,
        exposure_time_s=30.0,
        image_uri="s3://bucket/5.fits",
        published_at=datetime(2026, 11, 27, tzinfo=UTC),
    )


def original(n):
    return ConsumedRecord(
        topic=IN,
        partition=1,
        offset=n,
        key=b"key%d" % n,
        value=encode_event(event(n)),
        headers=HEADERS,
    )


def letter(n, failure):
    return dead_letter(original(n), failure, attempts=2, topic=DEAD, clock=FakeClock())


def failure(reason=Reason.TIMEOUT, stage="subtract"):
    return Failure(
        reason=reason,
        error_class="TimeoutError",
        message="took too long",
        traceback="Traceback: here",
        stage=stage,
    )


LETTERS = [
    letter(1, failure()),
    letter(2, failure(Reason.UNREADABLE_IMAGE, "read")),
    letter(3, Failure.of(InvalidExposureError("no WCS"))),
]


@pytest.fixture
def broker():
    with EmbeddedBroker({IN: 2, DEAD: 1}) as broker:
        producer = broker.transport().producer()
        producer.send(LETTERS)
        producer.close()
        yield broker


@pytest.fixture
def path(config, broker):
    return config(f'[stream]\nbrokers = "{broker.bootstrap}"\n')


@pytest.fixture
def log(tmp_path):
    """An event log with the same dead letters, and a record that is none."""
    records = [
        ConsumedRecord(
            topic=DEAD,
            partition=0,
            offset=n,
            key=dead.key,
            value=dead.value,
            headers=dead.headers,
        )
        for n, dead in enumerate(LETTERS)
    ]
    write_log(tmp_path / "night.avro", [original(9), *records])
    return tmp_path / "night.avro"


@pytest.fixture
def ids(run, log):
    """List ids of events."""

    def ids(*options):
        end = run("dead-letters", "list", "--json", "--log", log, *options)
        assert end.code == 0, end.err
        return [row["event_id"] for row in json.loads(end.out)]

    return ids


def test_the_topic_is_listed(run, path):
    end = run("dead-letters", "list", "-c", path, "--json")
    rows = json.loads(end.out)
    assert [(r["event_id"], r["reason"], r["place"]) for r in rows] == [
        ("e1", "timeout", "0:0"),
        ("e2", "unreadable_image", "0:1"),
        ("e3", "invalid_exposure", "0:2"),
    ]
    assert rows[0]["topic"] == IN
    assert "e2" in run("dead-letters", "list", "-c", path).out


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], ["e1", "e2", "e3"]),
        (["--reason", "timeout"], ["e1"]),
        (["--reason", "invalid_exposure"], ["e3"]),
        (["--stage", "read"], ["e2"]),
        (["--event-id", "e3", "--event-id", "e1"], ["e1", "e3"]),
        (["--offset", "1"], ["e2"]),
        (["--offset", "0:2", "--offset", "1:1"], ["e3"]),
        (["--reason", "timeout", "--stage", "read"], []),
    ],
)
def test_letters_are_chosen(ids, options, expected):
    assert ids(*options) == expected


def test_a_letter_is_shown_with_its_traceback(run, log):
    end = run("dead-letters", "show", "--log", log, "--event-id", "e1")
    assert "Traceback: here" in end.out
    assert "took too long" in end.out
    (row,) = json.loads(
        run("dead-letters", "show", "--log", log, "--offset", 0, "--json").out
    )
    assert (row["attempts"], row["key"]) == ("2", "key1")


def test_an_event_is_sent_again_as_it_was(run, path, broker):
    end = run("dead-letters", "retry", "-c", path, "--reason", "timeout", "--yes")
    assert (end.code, end.out) == (0, f"{IN}: 1 events\n")
    (record,) = broker.transport().read_all(IN)
    expected = original(1)
    assert (record.key, record.value) == (expected.key, expected.value)
    assert record.headers == HEADERS


@pytest.mark.parametrize(("answer", "sent"), [("n", 0), ("", 0), ("y", 3)])
def test_nothing_is_sent_without_consent(run, path, broker, monkeypatch, answer, sent):
    monkeypatch.setattr("sys.stdin", StringIO(answer))
    end = run("dead-letters", "retry", "-c", path)
    assert f"publish 3 events to {IN}?" in end.out
    assert (end.code == 0) == (sent > 0)
    assert len(list(broker.transport().read_all(IN))) == sent


def test_letters_of_a_log_are_sent_too(run, path, broker, log):
    end = run("dead-letters", "retry", "-c", path, "--log", log, "--yes", "--json")
    assert json.loads(end.out) == {"events": {IN: 3}}
    values = {record.value for record in broker.transport().read_all(IN)}
    assert values == {original(n).value for n in (1, 2, 3)}


def test_one_event_in_two_letters_is_sent_once(run, path, broker):
    producer = broker.transport().producer()
    producer.send([letter(1, failure(Reason.PLUGIN_ERROR))])
    producer.close()
    options = ["--event-id", "e1", "--yes"]
    end = run("dead-letters", "retry", "-c", path, *options)
    assert end.out == f"{IN}: 1 events\n"


def test_a_letter_without_its_value_can_not_be_sent(run, path, broker, log):
    cut = smaller(smaller(LETTERS[0]))
    write_log(
        log,
        [
            ConsumedRecord(
                topic=DEAD,
                partition=0,
                offset=7,
                key=cut.key,
                value=cut.value,
                headers=cut.headers,
            )
        ],
    )
    end = run("dead-letters", "retry", "-c", path, "--log", log, "--yes")
    assert end.code == 1
    assert "dead letter 0:7 has no value" in end.err


def test_where_to_look_must_be_said(run):
    end = run("dead-letters", "list")
    assert end.code == 2
    assert "--log" in end.err


def test_reasons_of_older_letters_come_from_their_error(run, log):
    old = [h for h in LETTERS[2].headers if h[0] != "streamdiff.dlq.reason"]
    record = ConsumedRecord(
        topic=DEAD, partition=0, offset=0, key=None, value=b"?", headers=tuple(old)
    )
    write_log(log, [record])
    (row,) = json.loads(run("dead-letters", "list", "--log", log, "--json").out)
    assert (row["reason"], row["event_id"]) == ("invalid_exposure", None)
