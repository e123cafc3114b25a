"""The noise of the score where stars are shifted at random."""

import numpy as np
import pytest

from streamdiff.testing import GaussianProfile
from streamdiff_zogy.astrometry import corrected_significance

SIDE = 41
# What stars look like in a score.
BLOB = GaussianProfile(fwhm=5.0)


def star(flux, dx=0.0, dy=0.0):
    return (flux * BLOB.stamp(dx, dy, size=SIDE)).astype(np.float32)


def variances(science, template, sigma):
    """Return the variance that shifts add, from a score of 1 and none else."""
    ones = np.ones_like(science)
    flat = corrected_significance(ones, template, ones, sigma)
    return 1 / np.square(flat) - 1


def corrected(science, template, sigma):
    ones = np.ones_like(science)
    return corrected_significance(science - template, template, ones, sigma)


def test_without_shifts_it_is_the_score_over_its_noise():
    rng = np.random.default_rng(1)
    score, template = rng.normal(size=(2, 30, 40)).astype(np.float32)
    variance = rng.uniform(1, 4, (30, 40)).astype(np.float32)
    found = corrected_significance(score, template, variance, (0.0, 0.0))
    assert found == pytest.approx(score / np.sqrt(variance), rel=1e-6)


def test_residuals_of_shifted_stars_have_the_variance_expected():
    sigma, flux = (0.3, 0.1), 3e4
    shifts = np.random.default_rng(2).normal(0, sigma, (2000, 2))
    residuals = np.array([star(flux, dx, dy) - star(flux) for dx, dy in shifts])
    expected = variances(star(flux), star(flux), sigma)
    true = np.mean(np.square(residuals), axis=0)
    counts = true > 0.01 * true.max()
    # 2,000 shifts know it to 3 %, the core's fourth powers to 8 %; terms of third
    # order are a few percent more.
    assert expected[counts] == pytest.approx(true[counts], rel=0.35)
    assert np.median(expected[counts] / true[counts]) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("axis", [0, 1])
def test_shifts_along_an_axis_count_along_that_axis(axis):
    sigma = [0.0, 0.0]
    sigma[axis] = 0.2
    variance = variances(star(1e4), star(1e4), tuple(sigma))
    middle, away = SIDE // 2, SIDE // 2 + 2
    beside, above = variance[middle, away], variance[away, middle]
    along, across = (beside, above) if axis == 0 else (above, beside)
    assert along > 10 * across


def test_new_sources_hide_themselves_hardly():
    nothing = np.zeros((SIDE, SIDE), np.float32)
    with_term, without = (
        corrected(star(1000), nothing, (s, s)).max() for s in (0.3, 0.0)
    )
    assert with_term == pytest.approx(without, rel=1e-6)


def test_shifts_never_take_noise_away():
    # The slopes are opposite between two places of the same star.
    variance = variances(star(3e4, dx=-0.6), star(3e4, dx=0.6), (0.2, 0.2))
    assert variance.min() > -1e-6
    assert variance[SIDE // 2, SIDE // 2] > 1


def test_where_there_is_no_variance_there_is_no_significance():
    ones, none = np.ones((5, 7), np.float32), np.zeros((5, 7), np.float32)
    assert (corrected_significance(ones, none, none, (0.1, 0.1)) == 0).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (4, 2)])
def test_images_may_be_tiny(shape):
    ones = np.ones(shape, np.float32)
    assert corrected_significance(ones, ones, ones, (0.1, 0.1)) == pytest.approx(ones)
