"""Topics of an embedded broker are recorded, verified and listed."""

import json
import os
import signal
import subprocess
from datetime import UTC, datetime

import pytest

from streamdiff.adapters.avro.events import encode_event
from streamdiff.adapters.embedded import EmbeddedBroker
from streamdiff.adapters.event_log import log_files, read_log, write_log
from streamdiff.model import VisitReady
from streamdiff.ports import ConsumedRecord, OutgoingRecord

TOPIC = "streamdiff.visit-ready"
BEGAN_MS = 1_795_795_200_000  # 2026-11-27T16:00Z


def visit_ready(visit, detector=0):
    return VisitReady(
        event_id=f"e{visit}/{detector}",
        instrument="SimCam",
        visit=visit,
        detector=detector,
        band="gr"[visit % 2],
        midpoint_mjd_tai=61000.5,
        exposure_time_s=30.0,
        image_uri="s3://bucket/5.fits",
        published_at=datetime.now(UTC),
    )


@pytest.fixture(scope="module")
def broker():
    with EmbeddedBroker({TOPIC: 3, "streamdiff.alerts": 1}) as broker:
        yield broker


@pytest.fixture
def path(config, broker, request):
    group = request.node.name
    return config(f'[stream]\nbrokers = "{broker.bootstrap}"\ngroup = "{group}"\n')


@pytest.fixture
def send(broker):
    producer = broker.transport().producer()

    def send(*visits):
        producer.send(
            [
                OutgoingRecord(
                    topic=TOPIC, key=b"%d" % v, value=encode_event(visit_ready(v))
                )
                for v in visits
            ]
        )

    yield send
    producer.close()


def recorded(folder):
    return [record for path in log_files([folder]) for record in read_log(path)]


def test_topics_are_recorded_until_they_are_quiet(run, path, send, broker, tmp_path):
    send(*range(20))
    out = tmp_path / "night"
    options = ["-c", path, "--out", out, "--until-idle", 1, "--json"]
    end = run("archive", "record", *options)
    assert end.code == 0, end.err
    expected = list(broker.transport().read_all(TOPIC))
    assert len(expected) == 20
    assert json.loads(end.out) == {"out": str(out), "records": 20, "logs": 1}
    place = lambda r: (r.partition, r.offset)  # noqa: E731
    assert sorted(recorded(out), key=place) == sorted(expected, key=place)
    assert run("archive", "verify", out).code == 0


@pytest.fixture
def recorder(program, path, tmp_path):
    """Start a recorder of some topics, whose log can be read."""
    arguments = ["-c", path, "--out", tmp_path / "night", "--topic", "visit-ready"]
    process = subprocess.Popen(  # noqa: S603 - the program under test
        [program, "archive", "record", *map(str, arguments), "--topic", "alerts"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    yield process
    process.kill()
    process.wait()
    process.stderr.close()


def test_sigterm_finishes_the_log(recorder, send, tmp_path, run):
    send(1, 2, 3)
    assert any("archive_log_begun" in line for line in recorder.stderr)
    recorder.send_signal(signal.SIGTERM)
    assert recorder.wait(timeout=60) == 0
    found = json.loads(run("archive", "verify", tmp_path / "night", "--json").out)
    assert [file["state"] for file in found["files"]] == ["closed"]
    assert found["records"] > 0


def logged(offset, visit, detector=0, topic=TOPIC):
    return ConsumedRecord(
        topic=topic,
        partition=0,
        offset=offset,
        key=None,
        value=encode_event(visit_ready(visit, detector)),
        timestamp_ms=BEGAN_MS + 60_000 * offset,
    )


@pytest.fixture
def logs(tmp_path):
    """Two event logs without indexes."""
    folder = tmp_path / "logs"
    write_log(folder / "a.avro", [logged(0, 5, 1), logged(1, 5), logged(2, 4)])
    write_log(folder / "b.avro", [logged(3, 5), logged(4, 6)])
    return folder


@pytest.fixture
def listed(run, logs):
    def listed(*options):
        end = run("archive", "list", logs, "--json", *options)
        assert end.code == 0, end.err
        return json.loads(end.out)

    return listed


def test_events_are_listed_by_visit(listed):
    rows = listed()
    told = [(r["visit"], r["detector"], r["band"], r["records"]) for r in rows]
    assert told == [(4, 0, "g", 1), (5, 0, "r", 2), (5, 1, "r", 1), (6, 0, "g", 1)]
    assert (rows[1]["first"], rows[1]["last"]) == (
        "2026-11-27T16:01:00.000Z",
        "2026-11-27T16:03:00.000Z",
    )
    assert {(r["topic"], r["instrument"]) for r in rows} == {(TOPIC, "SimCam")}


@pytest.mark.parametrize(
    ("options", "visits"),
    [
        (["--visit", 5], [5, 5]),
        (["--visit", 5, "--detector", 1], [5]),
        (["--band", "g"], [4, 6]),
        (["--topic", "visit-ready"], [4, 5, 5, 6]),
        (["--topic", TOPIC], [4, 5, 5, 6]),
        (["--topic", "alerts"], []),
        (["--since", "2026-11-27T16:03"], [5, 6]),
        (["--until", "2026-11-27T17:02+01:00"], [5, 5]),
        (["--since", "2026-11-27T16:02", "--until", "2026-11-27T16:03"], [4, 5]),
        (["--limit", 2], [4, 5]),
    ],
)
def test_the_list_can_be_narrowed(listed, options, visits):
    assert [row["visit"] for row in listed(*options)] == visits


def test_logs_are_listed(listed):
    rows = listed("--files")
    assert [(row["records"], row["partitions"]) for row in rows] == [(3, 1), (2, 1)]
    assert rows[0]["first"] == "2026-11-27T16:00:00.000Z"


def test_tables_are_for_people(run, logs):
    assert "visit-ready" in run("archive", "list", logs).out
    assert "nothing" in run("archive", "list", logs, "--visit", 99).out
    assert "whole" in run("archive", "verify", logs).out


def test_a_time_that_is_none_is_refused(run, logs):
    end = run("archive", "list", logs, "--since", "yesterday")
    assert end.code == 2
    assert "yesterday" in end.err


def test_damage_ends_with_exit_code_1(run, logs):
    os.truncate(logs / "a.avro", (logs / "a.avro").stat().st_size - 1)
    end = run("archive", "verify", logs)
    assert end.code == 1
    assert "a.avro is no complete event log" in end.out
    assert json.loads(run("archive", "verify", logs, "--json").out)["ok"] is False


def test_no_log_is_an_error(run, tmp_path):
    end = run("archive", "verify", tmp_path)
    assert end.code == 1
    assert "there is no event log" in end.err
