"""Events, a reporter without a stream, and files of one small sky."""

from datetime import UTC, datetime

import pluggy
import pytest

from streamdiff import hookspecs
from streamdiff.adapters.avro.events import encode_event, message_key
from streamdiff.adapters.fits.exposure import encode_exposure
from streamdiff.app.decoding import Decoding
from streamdiff.app.environment import find_plugins
from streamdiff.app.observers import Observers
from streamdiff.app.reports import Reporter
from streamdiff.app.single import Workbench
from streamdiff.app.topics import Topics
from streamdiff.config import Settings
from streamdiff.model import Action, Provenance, TemplateUpdate, VisitReady
from streamdiff.ports import ConsumedRecord
from streamdiff.testing import PointSource, Scene
from streamdiff.testing.stream import FakeClock

TIME = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def visit():
    """Return a visit-ready event, with changes."""

    def make(**changes):
        values = {
            "event_id": "visit-7",
            "instrument": "SimCam",
            "visit": 7,
            "detector": 0,
            "band": "r",
            "midpoint_mjd_tai": 61000.5,
            "exposure_time_s": 30.0,
            "image_uri": "file:///data/7.fits",
            "published_at": TIME,
        }
        return VisitReady(**(values | changes))

    return make


@pytest.fixture
def update(visit):
    """Return a template-update event of one patch, or "covering"."""

    def make(*, covering=False):
        patch = {} if covering else {"tract": 5, "patch": 6}
        return TemplateUpdate(
            event_id="update-1",
            band="r",
            action=Action.ADD,
            exposures=(visit(),),
            published_at=TIME,
            **patch,
        )

    return make


@pytest.fixture
def record():
    """Return the record of an event on its topic, or of bytes on visit-ready."""

    def make(content, *, timestamp_ms=-1):
        raw = isinstance(content, bytes)
        is_update = isinstance(content, TemplateUpdate)
        return ConsumedRecord(
            topic="s.template-update" if is_update else "s.visit-ready",
            partition=0,
            offset=11,
            key=None if raw else message_key(content),
            value=content if raw else encode_event(content),
            timestamp_ms=timestamp_ms,
        )

    return make


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def manager():
    made = pluggy.PluginManager(hookspecs.PROJECT)
    made.add_hookspecs(hookspecs)
    return made


@pytest.fixture
def reporter(clock, manager):
    return Reporter(
        topics=Topics("s."),
        decoding=Decoding(),
        provenance=Provenance(config_hash="c0ffee"),
        observers=Observers(manager),
        clock=clock,
    )


SKY = Scene.star_field(shape=(160, 160), density_per_mpx=2000, seed=4)
TRANSIENTS = (PointSource(60, 70, 3e4), PointSource(110, 40, 3e4))


@pytest.fixture(scope="session")
def scene_files(tmp_path_factory):
    """Exposures of one sky as files; "turned" is a template on another grid."""
    folder = tmp_path_factory.mktemp("scene")
    turned = SKY.dithered_wcs(rotation_deg=1, dx=12.3, dy=9.7)
    exposures = {
        "science": SKY.add(*TRANSIENTS).observe(fwhm=3.2, seed=1, visit=7),
        "template": SKY.observe(fwhm=2.6, seed=2, visit=2),
        "turned": SKY.observe(fwhm=2.6, seed=3, visit=3, wcs=turned, shape=(190, 190)),
        "third": SKY.observe(fwhm=2.8, seed=4, visit=4),
    }
    paths = {name: folder / f"{name}.fits" for name in exposures}
    for name, exposure in exposures.items():
        paths[name].write_bytes(encode_exposure(exposure))
    return paths


@pytest.fixture(scope="session")
def workbench():
    return Workbench(settings=Settings(), registry=find_plugins())
