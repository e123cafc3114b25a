"""DiaObjects through the whole service, and once more in a replay."""

import json
import sqlite3
from contextlib import closing
from functools import partial

import pytest

from streamdiff.adapters.avro import wire
from streamdiff.adapters.avro.container import read_alerts
from streamdiff.adapters.event_log import write_log
from streamdiff.adapters.workers import InlineExecutor
from streamdiff.app.alerts.comparison import Rules, compare
from streamdiff.app.alerts.light_curves import LightCurves
from streamdiff.app.alerts.reading import AlertFiles
from streamdiff.app.decoding import Decoding
from streamdiff.app.environment import find_plugins
from streamdiff.app.progress import Silent
from streamdiff.app.replay.associate import SerialAssociation
from streamdiff.app.replay.events import EventLog, Selection
from streamdiff.app.replay.run import pool, replay_settings, run_replay
from streamdiff.app.replay.worker import make_replay_handler
from streamdiff.app.topics import Topics

TOPICS = Topics("streamdiff.")
N_VISITS = 3


@pytest.fixture(scope="module")
def associating(settings, tmp_path_factory):
    """Return the configuration of the survey, with DiaObjects."""
    folder = tmp_path_factory.mktemp("catalogue")
    pipeline = settings.pipeline.model_copy(update={"associate": "nearest"})
    catalogue = settings.catalogue.model_copy(
        update={"url": f"sqlite:///{folder}/live.db"}
    )
    return settings.model_copy(update={"pipeline": pipeline, "catalogue": catalogue})


@pytest.fixture(scope="module")
def night(associating, new_stream, visit, tmp_path_factory):
    """Return the log of three visits of one field, and their alerts."""
    stream = new_stream()
    stream.settings = associating
    first = visit()
    for i in range(N_VISITS):
        event = visit(
            event_id=f"night-{i}",
            visit=700 + i,
            midpoint_mjd_tai=first.midpoint_mjd_tai + i,
        )
        stream.send(TOPICS.visit_ready, event)
    stream.run()
    assert not stream.dead_letters()
    path = tmp_path_factory.mktemp("night") / "log.avro"
    topics = (TOPICS.visit_processed, TOPICS.visit_ready)
    write_log(path, [r for topic in topics for r in stream.broker.records(topic)])
    return path, stream


@pytest.fixture(scope="module")
def alerts(night):
    return [wire.decode(record.value)[1] for record in night[1].alerts()]


def replayed(night, settings, folder, *, workers=None, pinned="", **selection):
    chosen = replay_settings(settings, folder)
    executor = InlineExecutor(partial(make_replay_handler, chosen))
    if workers:
        stream = chosen.stream.model_copy(update={"workers": workers})
        chosen = chosen.model_copy(update={"stream": stream})
        executor = pool(chosen)
    associate = SerialAssociation(
        settings=chosen, registry=find_plugins(), pinned=pinned
    )
    log = EventLog.at([night[0]], Decoding(), Selection(**selection))
    run_replay(log, chosen, executor, Silent(), associate=associate)
    return folder


def in_folder(folder):
    paths = sorted(folder.glob("*.avro"))
    return {
        alert["diaSourceId"]: alert for path in paths for alert in read_alerts(path)
    }


@pytest.fixture(scope="module")
def inline(night, associating, tmp_path_factory):
    """Return what a replay in this process made; it leaves the service's alone."""
    live = associating.catalogue.url.removeprefix("sqlite:///")
    before = dumped(live)
    folder = replayed(night, associating, tmp_path_factory.mktemp("inline"))
    assert dumped(live) == before
    return folder


def dumped(path):
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def test_every_object_is_seen_again_and_tells_its_history(alerts):
    by_object = {}
    for alert in alerts:
        by_object.setdefault(alert["diaObject"]["diaObjectId"], []).append(alert)
    assert by_object
    for dia_object_id, mine in by_object.items():
        assert len(mine) == N_VISITS
        for i, alert in enumerate(mine):
            assert alert["diaSource"]["diaObjectId"] == dia_object_id
            assert alert["diaObject"]["nDiaSources"] == i + 1
            earlier = [a["diaSource"] for a in mine[:i]]
            told = alert["prvDiaSources"] or []
            assert told == earlier


def test_forced_fluxes_at_known_objects_are_those_of_the_detections(alerts):
    last = [a for a in alerts if a["diaSource"]["visit"] == 700 + N_VISITS - 1]
    for alert in last:
        (forced,) = alert["prvDiaForcedSources"]
        assert forced["visit"] == 701
        second = next(
            s for s in alert["prvDiaSources"] if s["visit"] == forced["visit"]
        )
        # The same image, at the position of the detection on the visit before.
        assert forced["psfFlux"] == pytest.approx(second["psfFlux"], rel=1e-3)
        assert forced["scienceFlux"] == pytest.approx(second["scienceFlux"], rel=1e-3)
        assert alert["diaObject"]["r_fpFluxMean"] == pytest.approx(
            second["psfFlux"], rel=1e-3
        )


def test_alerts_are_keyed_by_their_object(night, alerts):
    for record, alert in zip(night[1].alerts(), alerts, strict=True):
        assert record.key == str(alert["diaObject"]["diaObjectId"]).encode()


def test_a_light_curve_is_read_from_the_last_alert(alerts):
    curves = LightCurves()
    curves.add(alerts[-1])
    (points,) = (curves.curve(i) for i in curves.points)
    assert len([p for p in points if not p.is_forced]) == N_VISITS


def test_reports_tell_what_was_associated(night):
    reports = night[1].reports()
    n = reports["night-0"].n_alerts
    assert reports["night-0"].metrics["n_new_dia_objects"] == n > 0
    assert reports["night-2"].metrics["n_associated"] == n
    assert reports["night-2"].metrics["n_forced_sources"] == n
    assert "associate" in reports["night-2"].stage_seconds


def test_a_visit_sent_again_tells_the_same_of_its_objects(night, alerts, visit):
    """The catalogue is as if it had run once: under another name it is not skipped."""
    stream, last = night[1], 700 + N_VISITS - 1
    mjd = alerts[-1]["diaSource"]["midpointMjdTai"]
    again = visit(event_id="again", visit=last, midpoint_mjd_tai=mjd)
    stream.send(TOPICS.visit_ready, again)
    stream.run()
    told = [wire.decode(record.value)[1] for record in stream.alerts()[len(alerts) :]]
    before = [a for a in alerts if a["diaSource"]["visit"] == last]
    names = ("diaSource", "diaObject", "prvDiaSources", "prvDiaForcedSources")
    assert len(told) == len(before) > 0
    for one, other in zip(told, before, strict=True):
        # processed again, at another time
        time = other["diaSource"]["timeProcessedMjdTai"]
        assert 0 < one["diaSource"].pop("timeProcessedMjdTai") - time < 1
        expected = other | {"diaSource": other["diaSource"].copy()}
        expected["diaSource"].pop("timeProcessedMjdTai")
        for name in names:
            assert one[name] == expected[name]


def test_history_tells_when_it_was_processed(alerts):
    """Forced sources have the time of the DiaSources of their visit."""
    times = {a["diaSource"]["visit"]: a["diaSource"] for a in alerts}
    told = [row for a in alerts for row in a["prvDiaForcedSources"] or []]
    assert told
    for row in told:
        expected = times[row["visit"]]["timeProcessedMjdTai"]
        assert row["timeProcessedMjdTai"] == expected
        # MJD of 2026 and later, and not that of the observation
        assert 61000 < expected != row["midpointMjdTai"]


def test_a_replay_associates_the_same_whatever_the_number_of_workers(
    night, associating, inline, tmp_path
):
    folder = replayed(night, associating, tmp_path, workers=2)
    assert in_folder(folder) == in_folder(inline)


def test_a_replay_tells_what_the_service_did(night, alerts, inline, tmp_path):
    """Forced photometry included, which is done on the images of each visit."""
    write_log(tmp_path / "alerts.avro", night[1].alerts())
    found = compare(
        AlertFiles(paths=(tmp_path / "alerts.avro",)),
        AlertFiles(paths=(inline,)),
        Rules(),
    )
    assert found.is_same
    again = in_folder(inline)
    names = ("diaSource", "diaObject", "prvDiaSources", "prvDiaForcedSources")
    for alert in alerts:
        mine = again[alert["diaSourceId"]]
        assert {name: mine[name] for name in names} == {n: alert[n] for n in names}
    assert any(alert["prvDiaForcedSources"] for alert in alerts)


def test_a_replay_tells_what_was_associated_and_leaves_no_images(night, inline):
    lines = map(json.loads, (inline / "visits.jsonl").read_text().splitlines())
    live = night[1].reports()
    names = ("n_new_dia_objects", "n_associated", "n_forced_sources")
    for line in lines:
        expected = live[line["event_id"]].metrics
        assert [line["metrics"][n] for n in names] == [expected[n] for n in names]
    assert not list(inline.glob("*.images"))


def test_a_replay_can_begin_with_what_was_known_before(
    night, associating, alerts, tmp_path
):
    folder = replayed(
        night,
        associating,
        tmp_path,
        pinned=associating.catalogue.url,
        visits=frozenset({700 + N_VISITS - 1}),
    )
    again = in_folder(folder)
    late = [a for a in alerts if a["diaSourceId"] in again]
    assert len(late) == len(again) > 0
    for alert in late:
        mine = again[alert["diaSourceId"]]
        for name in ("diaSource", "diaObject", "prvDiaSources", "prvDiaForcedSources"):
            assert mine[name] == alert[name]
