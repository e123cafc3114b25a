"""How the quality of a difference follows the ratio of the two PSFs' widths."""

import numpy as np
import pytest

from streamdiff.model import Convolved, Difference
from streamdiff.testing import MoffatProfile, PointSource, Scene
from streamdiff.testing.figures import noise_ratio, star_residuals
from streamdiff_al import AlardLuptonSubtractor
from streamdiff_decorrelation import WhiteningDecorrelator

RATIOS = np.arange(0.80, 1.201, 0.02)
TEMPLATE_FWHM = 4.0
NOISE = 10.0
SIDE, STEP, MARGIN = 640, 20, 16


def crowd():
    """Return a thousand stars on a loose grid, of peak S/N 70 to 600."""
    rng = np.random.default_rng(1)
    nodes = np.arange(MARGIN, SIDE - MARGIN, STEP)
    x, y = (a.ravel() + rng.uniform(-3, 3, a.size) for a in np.meshgrid(nodes, nodes))
    # A Moffat profile holds a quarter more than the Gaussian of the same peak.
    area = 1.25 * TEMPLATE_FWHM**2 * np.pi / (4 * np.log(2))
    flux = NOISE * area * np.exp(rng.uniform(np.log(70), np.log(600), x.size))
    stars = zip(x.tolist(), y.tolist(), flux.tolist(), strict=True)
    return Scene(shape=(SIDE, SIDE), sources=tuple(PointSource(*s) for s in stars))


@pytest.fixture(scope="module")
def sweep():
    """Return which image was convolved, and chi_star, for each ratio."""
    scene = crowd()
    x, y = np.array([(s.x, s.y) for s in scene.sources]).T
    template = scene.observe(
        profile=MoffatProfile(fwhm=TEMPLATE_FWHM), noise=NOISE / 2, seed=2
    )
    blank = scene.render(MoffatProfile(fwhm=RATIOS[-1] * TEMPLATE_FWHM)) < NOISE
    # The noise is the same for every ratio, and so is what it does to the median.
    rows = []
    for ratio in RATIOS:
        profile = MoffatProfile(fwhm=ratio * TEMPLATE_FWHM)
        science = scene.observe(profile=profile, noise=NOISE, seed=3)
        difference = AlardLuptonSubtractor().subtract(science, template)
        assert isinstance(difference, Difference)
        white = WhiteningDecorrelator().decorrelate(difference, science, template)
        residual = np.nanmedian(star_residuals(white, x, y))
        rows.append((difference.convolved, residual / noise_ratio(white, blank)))
    return rows


def test_quality_is_steady_whichever_image_is_convolved(sweep):
    # A thousand stars of 81 px know the median to 0.003, and its steps far better:
    # their noise is the same.
    chi = np.array([chi for _, chi in sweep])
    assert np.abs(np.diff(chi)).max() < 0.01


def test_static_stars_subtract_to_the_noise_for_every_ratio(sweep):
    assert max(chi for _, chi in sweep) < 1.05


def test_direction_goes_over_both(sweep):
    taken = list(dict.fromkeys(convolved for convolved, _ in sweep))
    assert taken == [Convolved.SCIENCE, Convolved.BOTH, Convolved.TEMPLATE]
