"""Peaks of a filter that sums to nothing: the same as those of scipy's filters."""

import numpy as np
import pytest
from scipy import ndimage

from streamdiff.imaging.peak_filter import filter_for_peaks, find_peaks

SIGMA, REACH, BOX = 1.2, 4, 15
PROFILE = np.exp(-np.square(np.arange(-REACH, REACH + 1) / SIGMA) / 2)
WEIGHTS = (PROFILE / PROFILE.sum()).astype(np.float32)
SHAPES = [(1, 1), (1, 40), (7, 5), (33, 20), (120, 131)]


def noise(shape):
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES)
def test_filter_is_a_gaussian_minus_the_mean_of_a_box(shape):
    image = noise(shape)
    expected = ndimage.gaussian_filter(image, SIGMA, radius=REACH)
    expected -= ndimage.uniform_filter(image, BOX)
    found = filter_for_peaks(image, WEIGHTS, BOX)
    assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_peaks_are_above_their_threshold_and_highest_in_their_square(shape):
    image = noise(shape)
    rng = np.random.default_rng(2)
    variance, unusable = rng.uniform(0.5, 2, shape), rng.random(shape) < 0.1
    is_highest = image == ndimage.maximum_filter(image, 5)
    expected = is_highest & (image > 0.5 * np.sqrt(variance)) & ~unusable
    found = find_peaks(image, variance.astype(np.float32), unusable, 0.5, 2)
    assert np.array_equal(found, expected)


def test_a_constant_leaves_nothing():
    image = np.full((40, 50), 1e4, np.float32)
    assert np.abs(filter_for_peaks(image, WEIGHTS, BOX)).max() < 1e-2
