import numpy as np
import pytest

from streamdiff.imaging.smooth_variance import BLOCK, high_variance

SHAPE = (5 * BLOCK + 7, 6 * BLOCK)
REGION = np.s_[BLOCK : 3 * BLOCK, BLOCK : 2 * BLOCK]
ALL = np.ones(SHAPE, bool)


def variance(ratio=1.0):
    """Return a plane that is noisier in a region."""
    plane = np.full(SHAPE, 9.0, np.float32)
    plane[REGION] *= ratio
    return plane


@pytest.mark.parametrize(("ratio", "flagged"), [(3.9, False), (4.1, True)])
def test_four_times_the_median_is_much(ratio, flagged):
    expected = np.zeros(SHAPE, bool)
    expected[REGION] = flagged
    np.testing.assert_array_equal(high_variance(variance(ratio), ALL), expected)


def test_the_photons_of_a_star_are_no_noisy_region():
    plane = variance()
    plane[40:58, 40:58] *= 1000  # a third of a block
    assert not high_variance(plane, ALL).any()


@pytest.mark.parametrize(("n_rows", "flagged"), [(3, False), (4, True)])
def test_a_region_of_few_pixels_says_nothing(n_rows, flagged):
    usable = ALL.copy()
    usable[BLOCK + n_rows : 2 * BLOCK, BLOCK : 2 * BLOCK] = False
    plane = np.where(usable, variance(10.0), np.float32(np.nan))
    high = high_variance(plane, usable)
    assert high[BLOCK : BLOCK + n_rows, BLOCK : 2 * BLOCK].any() == flagged
    assert not high[~usable].any()


def test_the_rest_at_the_border_is_a_region_too():
    plane = variance()
    plane[5 * BLOCK :, :BLOCK] *= 10
    high = high_variance(plane, ALL)
    assert high[5 * BLOCK :, :BLOCK].all()
    assert high.sum() == 7 * BLOCK


def test_nothing_usable_is_nothing_noisy():
    assert not high_variance(variance(), ~ALL).any()
