"""Last night as a test: what was archived, once more, gives the same alerts."""

import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from streamdiff.adapters.avro import wire
from streamdiff.adapters.avro.container import read_alerts
from streamdiff.adapters.avro.events import encode_event
from streamdiff.adapters.event_log import read_log, write_log
from streamdiff.adapters.workers import InlineExecutor
from streamdiff.app.decoding import Decoding
from streamdiff.app.progress import Silent
from streamdiff.app.replay.completeness import (
    completeness,
    completeness_picture,
    read_recovery,
)
from streamdiff.app.replay.events import EventLog, Selection
from streamdiff.app.replay.injection import parse_injection
from streamdiff.app.replay.run import VISITS_FILE, pool, replay_settings, run_replay
from streamdiff.app.replay.worker import make_replay_handler
from streamdiff.app.topics import Topics
from streamdiff.app.wiring import template_store
from streamdiff.errors import UnprocessableError
from streamdiff.model import MaskPlane, TemplateId
from streamdiff.ports import ConsumedRecord

TOPICS = Topics("streamdiff.")
N_VISITS = 4


@pytest.fixture(scope="module")
def night(new_stream, visit, tmp_path_factory):
    """Return the log of a night on several detectors, and its alerts."""
    stream = new_stream()
    for detector in range(N_VISITS):
        event = visit(
            event_id=f"night-{detector}", visit=500 + detector, detector=detector
        )
        stream.send(TOPICS.visit_ready, event)
    stream.send_raw(TOPICS.visit_ready, b"no event at all")
    stream.send(TOPICS.visit_ready, visit(event_id="night-0", visit=500, detector=0))
    stream.run()
    path = tmp_path_factory.mktemp("night") / "log.avro"
    topics = (TOPICS.visit_processed, TOPICS.visit_ready, TOPICS.dead_letter)
    write_log(path, [r for topic in topics for r in stream.broker.records(topic)])
    return path, stream.alerts()


def log_at(path, **selection):
    return EventLog.at([path], Decoding(), Selection(**selection))


def replayed(night, settings, folder, *, workers=None, injection=None, **selection):
    chosen = replay_settings(settings, folder, injection)
    if workers is None:
        executor = InlineExecutor(partial(make_replay_handler, chosen))
    else:
        stream = chosen.stream.model_copy(update={"workers": workers})
        chosen = chosen.model_copy(update={"stream": stream})
        executor = pool(chosen)
    return run_replay(log_at(night[0], **selection), chosen, executor, Silent())


def contents(folder):
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def inline(night, settings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("inline")
    return replayed(night, settings, folder)


def test_every_visit_is_replayed_once(inline):
    assert inline.outcomes == {"processed": N_VISITS}
    assert len((inline.directory / VISITS_FILE).read_text().splitlines()) == N_VISITS


def test_the_alerts_are_those_of_the_night_byte_for_byte(inline, night):
    sent = {record.value for record in night[1]}
    again = [
        alert
        for path in sorted(inline.directory.glob("*.avro"))
        for alert in read_alerts(path)
    ]
    assert len(again) == inline.n_alerts == len(sent) > 0
    assert {wire.encode("alert", alert) for alert in again} == sent


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_the_number_of_workers_makes_no_difference(
    workers, inline, night, settings, tmp_path
):
    made = replayed(night, settings, tmp_path, workers=workers)
    assert contents(made.directory) == contents(inline.directory)


def test_the_order_of_the_log_makes_no_difference(inline, night, settings, tmp_path):
    backwards = tmp_path / "backwards.avro"
    write_log(backwards, list(read_log(night[0]))[::-1])
    made = replayed((backwards,), settings, tmp_path / "out")
    assert contents(made.directory) == contents(inline.directory)


@pytest.mark.parametrize(
    ("selection", "n"),
    [
        ({"visits": frozenset({501})}, 1),
        ({"detectors": frozenset({0, 3})}, 2),
        ({"bands": frozenset({"r"}), "visits": frozenset({500, 502})}, 2),
    ],
)
def test_some_visits_can_be_chosen(selection, n, night):
    assert len(list(log_at(night[0], **selection).visits())) == n


@pytest.mark.parametrize("selection", [{"bands": frozenset({"z"})}, {"since": 9e9}])
def test_nothing_chosen_is_an_error(selection, night, settings, tmp_path):
    with pytest.raises(UnprocessableError, match="no visit-ready event is selected"):
        replayed(night, settings, tmp_path, **selection)


@pytest.fixture(scope="module")
def rebuilt(night, settings, tmp_path_factory):
    """Return settings whose store has got another version since, which is empty."""
    folder = tmp_path_factory.mktemp("rebuilt") / "templates"
    shutil.copytree(settings.store.uri.removeprefix("file://"), folder)
    changed = settings.store.model_copy(update={"uri": folder.as_uri()})
    changed = settings.model_copy(update={"store": changed})
    store = template_store(changed)
    (used,) = log_at(night[0]).pins()["night-0"].templates.items()
    template_id, version = TemplateId.parse(used[0]), used[1]
    coadd = store.load(template_id, version)
    mask = np.full(coadd.exposure.shape, MaskPlane.NO_DATA, np.int32)
    empty = replace(coadd, exposure=replace(coadd.exposure, mask=mask))
    events = store.events(template_id, version)
    store.save(empty, events, after=store.last(template_id), update_id="empty")
    return changed


def test_templates_are_those_that_were_used(night, rebuilt, inline, tmp_path):
    made = replayed(night, rebuilt, tmp_path)
    assert contents(made.directory) == contents(inline.directory)


def test_the_newest_templates_are_used_where_that_is_asked_for(
    night, rebuilt, tmp_path
):
    chosen = replay_settings(rebuilt, tmp_path)
    executor = InlineExecutor(partial(make_replay_handler, chosen))
    made = run_replay(
        log_at(night[0]), chosen, executor, Silent(), latest_templates=True
    )
    assert made.outcomes == {"skipped no_overlap": N_VISITS}


def test_injected_sources_are_counted_and_not_alerted(
    night, settings, inline, tmp_path
):
    made = replayed(
        night, settings, tmp_path, injection=parse_injection("n=20,snr=2:100")
    )
    alerts = {p.name: p.read_bytes() for p in inline.directory.glob("*.avro")}
    assert {p.name: p.read_bytes() for p in tmp_path.glob("*.avro")} == alerts
    bins = completeness(read_recovery(made.directory))
    assert sum(b.n for b in bins) > 10 * N_VISITS
    assert bins[-1].completeness > 0.9
    assert bins[0].completeness < 0.5
    picture = completeness_picture({"al": bins})
    assert picture.startswith(b"\x89PNG")


def test_a_visit_whose_image_is_gone_fails_alone(night, settings, tmp_path, visit):
    path = tmp_path / "log.avro"
    gone = visit(
        event_id="gone", visit=999, image_uri=settings.input.roots[0] + "/gone.fits"
    )
    record = ConsumedRecord(
        topic=TOPICS.visit_ready,
        partition=9,
        offset=0,
        key=None,
        value=encode_event(gone),
    )
    write_log(path, [record, *read_log(night[0])])
    made = replayed((path,), settings, tmp_path / "out")
    assert made.outcomes == {"failed unreadable_image": 1, "processed": N_VISITS}
