"""A transient on the nucleus of a galaxy, in real frames of one telescope.

Five exposures, each against the coadd of five exposures of two years before; all
resampled to one grid, their sky subtracted. The stars have moved by half a pixel
against the galaxies in between, and by some tenths against each other.
"""

from pathlib import Path

import numpy as np
import pytest

from streamdiff.adapters.fits.coadd import encode_coadd
from streamdiff.app.environment import find_plugins, read_settings
from streamdiff.app.single import Workbench
from streamdiff.model import Outcome, TemplateId
from streamdiff.pipeline.result import VisitResult

pytestmark = [pytest.mark.frames, pytest.mark.timeout(300)]

# Pixel of the transient, and how far from it an alert may be [pixel].
TRANSIENT, RADIUS = (129.0, 128.0), 2.0
N_EXPOSURES = 5
MEGAPIXELS = 256**2 / 1e6
# What exposures may claim beside the transient, per Mpx: three in each, for within
# two years some of the ten bright stars have moved against the others.
MAX_FALSE_PER_MPX = 50.0

CONFIG = """
[stream]
transport = "embedded"
[pipeline]
register = "{register}"
[plugins.read.fits]
instrument = "DECam"
detector = 28
band = "i"
[plugins.coadd.clipped_mean]
min_stars = 3
"""


def bench(folder: Path, register: str) -> Workbench:
    path = folder / f"{register}.toml"
    path.write_text(CONFIG.format(register=register))
    return Workbench(settings=read_settings(path), registry=find_plugins())


@pytest.fixture(scope="module")
def folder(shared_data):
    return shared_data / "decam_stack"


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("decam")


@pytest.fixture(scope="module")
def template(folder, work):
    paths = sorted((folder / "reference_OBS18").glob("*.fits"))
    assert len(paths) == N_EXPOSURES
    template_id = TemplateId(tract=0, patch=0, band="i")
    coadd = bench(work, "none").coadd(paths, template_id, like=None)
    assert all(item.accepted for item in coadd.inputs)
    path = work / "template.fits"
    path.write_bytes(encode_coadd(coadd))
    return path


@pytest.fixture(scope="module", params=["none", "stars"])
def results(request, folder, work, template) -> list[VisitResult]:
    """Return what each science exposure shows, with and without registration."""
    paths = sorted((folder / "science_OBS04").glob("*.fits"))
    assert len(paths) == N_EXPOSURES
    tools = bench(work, request.param)
    return [tools.subtract(path, template) for path in paths]


def offsets(result: VisitResult):
    sources = result.products.sources
    return np.hypot(sources["x"] - TRANSIENT[0], sources["y"] - TRANSIENT[1])


def test_every_exposure_is_processed(results):
    assert {result.outcome for result in results} == {Outcome.PROCESSED}


def test_the_transient_is_found_in_every_exposure(results):
    nearest = [offsets(result).min(initial=np.inf) for result in results]
    assert max(nearest) <= RADIUS, nearest


def test_the_transient_is_a_brightening_in_every_exposure(results):
    rows = [int(np.argmin(offsets(result))) for result in results]
    flux = np.array(
        [
            result.products.sources["psfFlux"][row]
            for result, row in zip(results, rows, strict=True)
        ]
    )
    assert (flux > 0).all()
    # The kernel follows the stars, and leaves a residual of the galaxy's nucleus.
    assert flux == pytest.approx(np.median(flux), rel=0.5)


def test_hardly_anything_else_is_claimed(results):
    n_false = sum(int((offsets(result) > RADIUS).sum()) for result in results)
    per_mpx = n_false / (N_EXPOSURES * MEGAPIXELS)
    assert per_mpx <= MAX_FALSE_PER_MPX
