import numpy as np
import pytest
from astropy.wcs import WCS
from scipy import ndimage

from streamdiff.model import (
    ConstantPsf,
    Convolved,
    Difference,
    ExposureId,
    FluxScale,
    MaskPlane,
    Noise,
)
from streamdiff.testing.figures import autocorrelation, noise_ratio, star_residuals

SHAPE = (400, 500)
BLANK = np.ones(SHAPE, bool)


def difference_of(image, variance=4.0, mask=None):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    return Difference(
        id=ExposureId(instrument="test", visit=1, detector=0, band="r"),
        image=image,
        variance=np.full(SHAPE, variance),
        mask=np.zeros(SHAPE, int) if mask is None else mask,
        psf=ConstantPsf(np.ones((1, 1))),
        wcs=wcs,
        flux_scale=FluxScale.TEMPLATE,
        kernel_sum=1.0,
        convolved=Convolved.NONE,
        noise=Noise.WHITE,
    )


@pytest.fixture(scope="module")
def white():
    return np.random.default_rng(1).normal(0, 2, SHAPE)


def test_noise_that_the_variance_tells_has_ratio_1(white):
    # 200,000 pixels know a standard deviation to 0.16 %
    assert noise_ratio(difference_of(white), BLANK) == pytest.approx(1, abs=0.005)
    assert noise_ratio(difference_of(white, 16), BLANK) == pytest.approx(0.5, abs=3e-3)


def test_only_blank_pixels_count(white):
    star = white.copy()
    star[100:110, 100:110] = 1e4
    blank = BLANK.copy()
    blank[100:110, 100:110] = False
    assert noise_ratio(difference_of(star), blank) == pytest.approx(1, abs=0.005)
    assert np.abs(autocorrelation(difference_of(star), blank, 3)).max() < 0.01


def test_the_correlation_of_smoothed_noise_is_that_of_its_kernel(white):
    kernel = np.array([0.25, 0.5, 0.25])
    smooth = ndimage.convolve1d(white, kernel, axis=1, mode="wrap")
    expected = np.correlate(kernel, kernel, "full")[3:] / np.sum(kernel**2)
    along_x, along_y = autocorrelation(difference_of(smooth), BLANK, 2)
    # 200,000 pairs: 0.0022; five times that
    assert along_x == pytest.approx(expected, abs=0.011)
    assert along_y == pytest.approx(0, abs=0.011)


def test_a_star_that_is_left_over_shows_in_its_square_alone():
    image = np.zeros(SHAPE)
    image[200, 300] = 18.0
    residuals = star_residuals(difference_of(image), [300.2, 340], [199.7, 200])
    assert residuals == pytest.approx([1.0, 0.0])


def test_squares_that_are_not_all_usable_are_left_out():
    mask = np.zeros(SHAPE, int)
    mask[204, 304] = int(MaskPlane.SAT)
    residuals = star_residuals(
        difference_of(np.ones(SHAPE), mask=mask), [300, 2, 900], [200, 2, -50]
    )
    assert np.isnan(residuals).all()
