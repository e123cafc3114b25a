import pytest
import structlog
from structlog.testing import capture_logs

from streamdiff import log
from streamdiff.app.warm_up import warm_up
from streamdiff.app.worker import make_handler, start_worker
from streamdiff.config import from_tree
from streamdiff.errors import ConfigError
from streamdiff.imaging import resample
from streamdiff.testing import Scene
from streamdiff_warp import LanczosWarper


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


def test_a_worker_that_is_ready_has_nothing_left_to_compile():
    warper = LanczosWarper(order=4)
    warm_up(warper)
    loop = resample._lanczos  # noqa: SLF001 - numba knows what it has compiled
    ready = len(loop.signatures)
    scene = Scene(sources=(), shape=(80, 90))
    turned = scene.dithered_wcs(rotation_deg=3)
    warped = warper.warp(scene.observe(), turned, (70, 100))
    warper.warp(warped, scene.wcs, (80, 90))
    assert len(loop.signatures) == ready > 0


def test_a_warper_that_can_not_warm_up_is_told_of_and_kept():
    class Fussy:
        def warp(self, exposure, wcs, shape):
            raise ValueError("too small")

    with capture_logs() as logs:
        warm_up(Fussy())
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
