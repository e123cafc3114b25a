"""Differences of al whose images were both convolved."""

import numpy as np
import pytest
from scipy import ndimage

from streamdiff.imaging.significance import significance
from streamdiff.model import UNUSABLE, Convolved
from streamdiff.testing import GaussianProfile, Scene, ideal_flux_error
from streamdiff.testing.figures import autocorrelation, noise_ratio, star_residuals
from streamdiff_al import AlardLuptonSubtractor
from streamdiff_al.direction import Direction
from streamdiff_decorrelation import WhiteningDecorrelator

SHAPE = (768, 768)
SKY = Scene.star_field(
    shape=SHAPE, density_per_mpx=300, seed=3, flux_range=(2e3, 1e5), margin=0
)
SCIENCE_NOISE, TEMPLATE_NOISE = 10.0, 5.0
WIDE, SHARP = GaussianProfile(fwhm=4.0), GaussianProfile(fwhm=3.0)
ALONG = GaussianProfile(fwhm=4.0, ellipticity=0.25, angle=30)
ACROSS = GaussianProfile(fwhm=3.8, ellipticity=0.25, angle=120)
CASES = {
    "elongated": (ALONG, ACROSS, Direction.COMMON),
    "equal": (WIDE, WIDE, Direction.COMMON),
    "preconvolved": (WIDE, SHARP, Direction.PRECONVOLVE),
}
# What stars and the border leave behind reaches so far.
REACH = 40


@pytest.fixture(scope="module", params=CASES.values(), ids=CASES.keys())
def whitened(request):
    science_profile, template_profile, direction = request.param
    science = SKY.observe(profile=science_profile, noise=SCIENCE_NOISE, seed=2)
    template = SKY.observe(profile=template_profile, noise=TEMPLATE_NOISE, seed=1)
    subtractor = AlardLuptonSubtractor(direction=direction)
    difference = subtractor.subtract(science, template)
    assert difference.convolved is Convolved.BOTH
    white = WhiteningDecorrelator().decorrelate(difference, science, template)
    return white, science_profile, template_profile


def inner(shape):
    blank = np.zeros(shape, bool)
    blank[REACH:-REACH, REACH:-REACH] = True
    return blank


def blank_sky(shape):
    starless = np.ones(shape, bool)
    x, y = np.rint([(s.x, s.y) for s in SKY.sources]).astype(int).T
    starless[y.clip(0, shape[0] - 1), x.clip(0, shape[1] - 1)] = False
    return inner(shape) & (ndimage.distance_transform_edt(starless) > REACH / 2)


def bright_stars():
    bright = [
        star
        for star in SKY.sources
        if star.flux > 1e4 and inner(SHAPE)[round(star.y), round(star.x)]
    ]
    return np.array([(star.x, star.y) for star in bright]).T


def test_blank_sky_is_white_and_its_variance_honest(whitened):
    difference, *_ = whitened
    blank = blank_sky(difference.shape)
    # 0.3 Mpx know a standard deviation to 0.13 %, and a correlation to 0.002.
    assert noise_ratio(difference, blank) == pytest.approx(1, abs=0.01)
    assert np.abs(autocorrelation(difference, blank, 10)).max() <= 0.02


def test_depth_is_that_of_the_ideal_filter(whitened):
    difference, *profiles = whitened
    blank = blank_sky(difference.shape)
    psf = difference.psf.centred_at(384, 384)
    error = np.sqrt(np.median(difference.variance[blank]) / np.sum(psf**2))
    stamps = [p.stamp(size=41) for p in profiles]
    ideal = ideal_flux_error(
        *(s / s.sum() for s in stamps), SCIENCE_NOISE**2, TEMPLATE_NOISE**2
    )
    assert 0.98 <= ideal / error <= 1.01


def test_stars_leave_no_more_significance_than_blank_sky(whitened):
    difference, *_ = whitened
    score = significance(difference, exclude=UNUSABLE)
    x, y = np.rint(bright_stars()).astype(int)
    residuals = score[y, x]
    # 30 stars know the root mean square to 13 %.
    assert residuals.size > 25
    assert np.sqrt(np.mean(residuals**2)) < 1.5
    assert np.abs(residuals).max() < 5


@pytest.mark.parametrize("whitened", [CASES["elongated"]], indirect=True)
def test_stars_leave_little_where_psfs_are_elongated_across(whitened):
    difference, *_ = whitened
    residuals = star_residuals(difference, *bright_stars())
    assert np.sqrt(np.nanmean(residuals**2)) < 1.1
