"""Templates whose noise a warp has correlated, through the real warper and al."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from streamdiff.imaging.significance import significance
from streamdiff.model import UNUSABLE, MaskPlane
from streamdiff.testing import GaussianProfile, PointSource, Scene
from streamdiff.testing.figures import noise_ratio
from streamdiff_al import AlardLuptonSubtractor
from streamdiff_decorrelation import WhiteningDecorrelator
from streamdiff_warp import LanczosWarper

SIDE, BORDER = 1180, 80
# What stars and the border leave behind reaches so far.
REACH = 30


def sky_of_few_stars():
    """Return a sky where 16 stars, enough for the kernel, leave it blank elsewhere."""
    rng = np.random.default_rng(5)
    places = np.mgrid[150:SIDE:300, 150:SIDE:300] + rng.uniform(0, 1, (2, 4, 4))
    x, y = places.reshape(2, -1) + BORDER
    stars = (PointSource(u, v, 2e4) for u, v in zip(x, y, strict=True))
    side = SIDE + 2 * BORDER
    return Scene(sources=tuple(stars), shape=(side, side))


SKY = sky_of_few_stars()
# How an equally deep template is warped, the widths of the PSFs of science image and
# template, and the least scatter without the covariance factor. It is the larger, the
# sharper the PSF of the difference and the more of the noise is the template's own.
CASES = {
    "half_a_pixel": ({"dx": 0.5, "dy": 0.5}, 3.0, 4.0, 1.05),
    "half_a_pixel_template_convolved": ({"dx": 0.5, "dy": 0.5}, 4.0, 3.0, 1.03),
    "three_degrees": ({"rotation_deg": 3.0}, 3.0, 4.0, 1.03),
}


@pytest.fixture(scope="module", params=CASES.values(), ids=CASES.keys())
def pair(request):
    pointing, science_fwhm, template_fwhm, excess = request.param
    wcs = SKY.dithered_wcs(**pointing)
    wcs.wcs.crpix -= BORDER
    whole = SKY.observe(profile=GaussianProfile(fwhm=template_fwhm), seed=1)
    template = LanczosWarper().warp(whole, wcs, (SIDE, SIDE))
    science = SKY.observe(
        profile=GaussianProfile(fwhm=science_fwhm), seed=2, wcs=wcs, shape=(SIDE, SIDE)
    )
    # The sky has no background: fitting one to few stars would leave a wrong one.
    difference = AlardLuptonSubtractor(subtract_background=False).subtract(
        science, template
    )
    return science, template, difference, excess


def blank_sky(difference):
    starless = np.ones(difference.shape, bool)
    x, y = np.rint(SKY.positions(SKY.sources, difference.wcs)).astype(int)
    starless[y, x] = False
    blank = ndimage.distance_transform_edt(starless) > REACH
    blank &= ~(UNUSABLE | MaskPlane.EDGE).in_mask(difference.mask)
    blank[:REACH] = blank[-REACH:] = blank[:, :REACH] = blank[:, -REACH:] = False
    assert blank.sum() > 1_000_000
    return blank


def test_score_of_blank_sky_has_unit_scatter(pair):
    science, template, difference, _ = pair
    white = WhiteningDecorrelator().decorrelate(difference, science, template)
    score = significance(white, exclude=UNUSABLE)
    blank = blank_sky(white)
    # 50 px are one independent value: 22,000 of them know the std to 0.5 %.
    assert score[blank].std(dtype=float) == pytest.approx(1, abs=0.01)
    assert noise_ratio(white, blank) == pytest.approx(1, abs=0.01)


def test_score_varies_more_without_the_covariance_factor(pair):
    science, template, difference, excess = pair
    forgotten = replace(template, covariance_factor=1.0)
    white = WhiteningDecorrelator().decorrelate(difference, science, forgotten)
    score = significance(white, exclude=UNUSABLE)
    assert score[blank_sky(white)].std(dtype=float) > excess
