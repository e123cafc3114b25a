"""A transient on the nucleus of a galaxy, in real frames of one telescope.

Five exposures, each against the coadd of five exposures of two years before; all
resampled to one grid, their sky subtracted. The stars have moved by half a pixel
against the galaxies in between, and by some tenths against each other.
"""

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from streamdiff.adapters.fits.coadd import encode_coadd
from streamdiff.app.environment import find_plugins, read_settings
from streamdiff.app.single import Workbench
from streamdiff.model import Outcome, TemplateId
from streamdiff.pipeline.result import VisitResult
from streamdiff.testing.figures import autocorrelation, noise_ratio

pytestmark = [pytest.mark.frames, pytest.mark.timeout(300)]

# Pixel of the transient, and how far from it an alert may be [pixel].
TRANSIENT, RADIUS = (129.0, 128.0), 2.0
N_EXPOSURES = 5
MEGAPIXELS = 256**2 / 1e6
# What exposures may claim beside the transient, per Mpx: six in all five.
MAX_FALSE_PER_MPX = 18.5
# Of neighbouring pixels; another program leaves 0.16 on these exposures.
MAX_CORRELATION = 0.14

CONFIG = """
[stream]
transport = "embedded"
[pipeline]
subtract = "{subtract}"
register = "{register}"
[plugins.read.fits]
instrument = "DECam"
detector = 28
band = "i"
"""


def bench(folder: Path, subtract: str, register: str) -> Workbench:
    path = folder / f"{subtract}_{register}.toml"
    path.write_text(CONFIG.format(subtract=subtract, register=register))
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
    coadd = bench(work, "al", "none").coadd(paths, template_id, like=None)
    assert all(item.accepted for item in coadd.inputs)
    path = work / "template.fits"
    path.write_bytes(encode_coadd(coadd))
    return path


@pytest.fixture(
    scope="module", params=product(["al", "zogy"], ["none", "stars"]), ids="-".join
)
def results(request, folder, work, template) -> list[VisitResult]:
    """Return what each exposure shows, by subtractor, registered or not."""
    paths = sorted((folder / "science_OBS04").glob("*.fits"))
    assert len(paths) == N_EXPOSURES
    tools = bench(work, *request.param)
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


def test_significance_of_blank_sky_has_unit_variance(results, blank_sky):
    std = [
        result.products.images.difference.score[blank_sky(result, *TRANSIENT)].std()
        for result in results
    ]
    # 53,000 px, correlated over up to 100: 530 values know it to 3 %.
    assert std == pytest.approx(np.ones(N_EXPOSURES), abs=0.1)


def test_noise_is_the_predicted_one_and_nearly_white(results, blank_sky):
    noise, correlation = [], []
    for result in results:
        difference = result.products.images.difference
        blank = blank_sky(result, *TRANSIENT)
        noise.append(noise_ratio(difference, blank))
        correlation.append(autocorrelation(difference, blank, 3).mean(axis=0))
    assert noise == pytest.approx(np.ones(N_EXPOSURES), abs=0.05)
    # The exposures were resampled: what correlated their noise nothing tells.
    assert np.abs(np.mean(correlation, axis=0)).max() <= MAX_CORRELATION
