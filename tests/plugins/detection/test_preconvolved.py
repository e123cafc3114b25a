"""Detection on a difference whose science image was correlated with its own PSF."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from streamdiff.imaging.point_source import forced_flux
from streamdiff.model import UNUSABLE
from streamdiff.testing import MoffatProfile, PointSource, Scene
from streamdiff_al import AlardLuptonSubtractor, Direction
from streamdiff_decorrelation import WhiteningDecorrelator
from streamdiff_detection import ScorePeaksFinder

SIDE, NOISE, FLUX = 600, 10.0, 3000.0
STEPS = np.arange(60.3, SIDE - 50, 80)
NEW = tuple(PointSource(x, y, FLUX) for x in STEPS for y in STEPS)
SCENE = Scene.star_field(
    shape=(SIDE, SIDE), density_per_mpx=800, seed=4, flux_range=(500, 5e4)
)


@pytest.fixture(scope="module", params=[False, True], ids=["white", "score"])
def searched(request):
    """Return the difference, whitened or with the score of its own, searched."""
    profile = MoffatProfile(fwhm=4.0, ellipticity=0.1)
    science = SCENE.add(*NEW).observe(profile=profile, noise=NOISE, seed=1)
    template = SCENE.observe(profile=MoffatProfile(fwhm=4.0), noise=NOISE, seed=2)
    subtractor = AlardLuptonSubtractor(direction=Direction.PRECONVOLVE)
    smoothed = subtractor.subtract(science, template)
    decorrelator = WhiteningDecorrelator(score=request.param)
    return ScorePeaksFinder().find(
        decorrelator.decorrelate(smoothed, science, template)
    )


def test_what_is_new_is_found_and_nothing_else(searched):
    _, sources = searched
    new = np.array([(s.x, s.y) for s in NEW])
    distance, _ = cKDTree(np.column_stack([sources["x"], sources["y"]])).query(new)
    # At S/N 25, only a bright star beside it hides one.
    assert np.mean(distance < 1) > 0.95
    # 5-sigma peaks of noise: 0.1 on this image; residuals of stars: some.
    assert len(sources) <= np.count_nonzero(distance < 1) + 2


def test_fluxes_on_it_are_those_of_the_change(searched):
    difference, _ = searched
    stars = cKDTree([(s.x, s.y) for s in SCENE.sources if s.flux > 2000])
    alone = np.array([(s.x, s.y) for s in NEW if stars.query((s.x, s.y))[0] > 15])
    measured = forced_flux(difference, *alone.T, exclude=UNUSABLE)
    # Some 40, each to 4 %.
    assert len(alone) > 20
    pull = (measured.flux - FLUX).mean() / (
        measured.flux_error.mean() / np.sqrt(len(alone))
    )
    assert abs(pull) < 4
