"""A nextVisit message warms the template cache of a worker."""

import json

import fsspec
import pytest

from streamdiff.adapters.workers import InlineExecutor
from streamdiff.app import wiring
from streamdiff.app.worker import make_handler
from streamdiff.config import from_tree
from streamdiff.errors import ChecksumMismatchError
from streamdiff.model import Coadd, Template, TemplateId
from streamdiff.ports import ConsumedRecord, Finished, WorkOrder
from streamdiff.testing import Scene
from streamdiff_coadd import MeanCoadder
from streamdiff_warp import LanczosWarper

SCENE = Scene.star_field(shape=(80, 90), density_per_mpx=3000, seed=3)
SETTINGS = from_tree(
    {
        "store": {
            "uri": "memory://preload",
            "skymap": {"nside_order": 8, "patch_pixels": 300},
        },
        "stream": {"event_decoders": ["next_visit"]},
        "plugins": {"decode": {"next_visit": {"radius_deg": 0.003}}},
    }
)


def announcement(**changes):
    told = {
        "instrument": "SimCam",
        "groupId": "g",
        "nimages": 1,
        "filters": "r_03",
        "coordinateSystem": 2,
        "position": [SCENE.ra, SCENE.dec],
        "startTime": 1774516900.0,
    }
    record = ConsumedRecord(
        topic="streamdiff.visit-ready",
        partition=0,
        offset=0,
        key=b"SimCam/0",
        value=json.dumps(told | changes).encode(),
    )
    return WorkOrder(record=record, attempt=1)


@pytest.fixture
def stored():
    """Store the templates around the scene; return the file system they are in."""
    store = wiring.template_store(SETTINGS)
    skymap, science = wiring.sky_map(SETTINGS), SCENE.observe()
    for tract, patch in skymap.patches_touching(science.wcs, science.shape):
        wcs, shape = skymap.wcs(tract, patch), skymap.shape(tract, patch)
        warp = LanczosWarper().warp(SCENE.observe(seed=1), wcs, shape)
        template_id = TemplateId(tract=tract, patch=patch, band="r")
        coadd = MeanCoadder().coadd(template_id, [warp])
        assert isinstance(coadd, Coadd)
        store.save(coadd, [], after=0, update_id="u")
    files = fsspec.filesystem("memory")
    yield files
    files.rm("/preload", recursive=True)


@pytest.fixture
def handler():
    return make_handler(SETTINGS)


@pytest.fixture
def executor(handler):
    executor = InlineExecutor(lambda: handler)
    executor.start()
    return executor


def coadds(files):
    return [path for path in files.find("/preload") if path.endswith(".fits")]


def test_a_visit_that_was_announced_reads_no_template_again(stored, handler, executor):
    done = executor.submit(announcement(), timeout_s=9).result()
    assert isinstance(done, Finished)
    assert (done.records, done.outcome, len(done.hints)) == ((), None, 1)
    for path in coadds(stored):
        stored.rm(path)
    assert isinstance(handler.visits.templates.cover(SCENE.observe()), Template)


def test_what_was_not_announced_is_read(stored, handler, executor):
    executor.submit(announcement(filters="g_01"), timeout_s=9).result()
    for path in coadds(stored):
        stored.rm(path)
    with pytest.raises(ChecksumMismatchError, match="no file"):
        handler.visits.templates.cover(SCENE.observe())


def test_a_hint_that_can_not_be_followed_is_logged_and_no_failure(
    stored, executor, capsys
):
    for path in coadds(stored):
        stored.pipe_file(path, b"no coadd")
    done = executor.submit(announcement(), timeout_s=9).result()
    assert isinstance(done, Finished)
    assert "preload_failed" in capsys.readouterr().out


def test_what_is_no_announcement_is_undecodable_as_before(executor):
    failure = executor.submit(announcement(position=[0, 95]), timeout_s=9).result()
    assert failure.error_class == "UndecodableError"
