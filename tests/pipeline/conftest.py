"""Two exposures through the stages that a configuration chooses."""

from datetime import UTC, datetime

import pytest

from streamdiff.app import wiring
from streamdiff.app.environment import find_plugins
from streamdiff.config import from_tree
from streamdiff.model import Template, VisitReady
from streamdiff.pipeline.stage import StageCalls


@pytest.fixture(scope="session")
def compare():
    """Return how two exposures on the same pixels are compared."""
    registry = find_plugins()

    def run(science, template, *, plugins=None, **pipeline):
        tree = {"pipeline": {"measure": [], **pipeline}, "plugins": plugins or {}}
        event = VisitReady(
            event_id="e",
            instrument=science.id.instrument,
            visit=science.id.visit,
            detector=science.id.detector,
            band=science.id.band,
            midpoint_mjd_tai=61000.0,
            exposure_time_s=30.0,
            image_uri="memory://7.fits",
            published_at=datetime(2026, 11, 20, tzinfo=UTC),
        )
        sky = Template(exposure=template, coverage=1.0)
        comparison = wiring.comparison(from_tree(tree), registry)
        calls = StageCalls(monotonic=lambda: 0.0)
        return comparison.run(event, science, lambda _: sky, calls)

    return run
