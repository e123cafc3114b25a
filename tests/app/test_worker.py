import sys
from dataclasses import replace

import pytest
import structlog
from numba.core.dispatcher import Dispatcher
from structlog.testing import capture_logs

from streamdiff import log
from streamdiff.app.warm_up import warm_up
from streamdiff.app.worker import make_handler, start_worker
from streamdiff.config import from_tree
from streamdiff.errors import ConfigError
from streamdiff.pipeline.cover import template_on_grid
from streamdiff.pipeline.gate import ResidualGate
from streamdiff.testing import PointSource, Scene
from streamdiff.testing.contract import event_of


@pytest.fixture(autouse=True)
def _logging_as_it_was():
    yield
    structlog.reset_defaults()


def settings(**tree):
    return from_tree({"store": {"uri": "memory://templates"}} | tree)


def test_a_worker_logs_as_severely_as_the_service():
    start_worker(settings(), log_level="warning")
    assert log.level() == "warning"


def test_a_handler_leaves_the_log_alone():
    log.configure(level="error")
    make_handler(settings())
    assert log.level() == "error"


def signatures():
    """Return how many versions of each compiled function this process has."""
    modules = [m for n, m in sys.modules.items() if n.startswith("streamdiff")]
    values = (value for module in modules for value in vars(module).values())
    return {v: len(v.signatures) for v in values if isinstance(v, Dispatcher)}


@pytest.mark.parametrize("subtract", ["al", "zogy"])
def test_a_worker_that_is_ready_has_nothing_left_to_compile(subtract):
    handler = make_handler(settings(pipeline={"subtract": subtract}))
    visits, warper = handler.visits, handler.templates.warper
    with capture_logs() as logs:
        warm_up(visits, warper)
    assert logs == []
    ready = signatures()
    assert len(ready) > 10
    scene = Scene.star_field(shape=(200, 210), density_per_mpx=1500, seed=1)
    sky, event = scene.observe(fwhm=3.0, seed=2), event_of("memory://image")
    changed = scene.add(PointSource(x=100.0, y=90.0, flux=3e4)).observe(seed=1)
    visits = replace(visits, comparison=replace(visits.comparison, gate=ResidualGate()))
    result = visits.compare(
        event, changed, lambda image: template_on_grid(sky, image, warper)
    )
    assert result.outcome == "processed"
    assert result.alerts
    assert {f for f, n in signatures().items() if n > ready.get(f, 0)} == set()


def test_a_plugin_that_can_not_warm_up_is_told_of_and_kept():
    class Fussy:
        def warp(self, exposure, wcs, shape):
            raise ValueError("too small")

    with capture_logs() as logs:
        warm_up(make_handler(settings()).visits, Fussy())
    assert [line["event"] for line in logs] == ["warm_up_failed"]


def test_a_worker_says_which_option_is_wrong():
    with pytest.raises(ConfigError, match=r"\[plugins.warp.lanczos\] order"):
        start_worker(
            settings(plugins={"warp": {"lanczos": {"order": 1}}}), log_level="info"
        )


def test_files_are_kept_where_the_configuration_says(tmp_path):
    output = {"directory": str(tmp_path), "alerts": False, "differences": True}
    files = make_handler(settings(output=output)).results
    assert (files.directory, files.alerts, files.differences) == (tmp_path, False, True)
    assert make_handler(settings()).results.directory is None
