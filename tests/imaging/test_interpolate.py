"""Filling in of unusable pixels, and the marks around them."""

import numpy as np
import pytest

from streamdiff.imaging.convolve import convolve
from streamdiff.imaging.interpolate import (
    core_radius,
    dilate_by_disc,
    fill_unusable,
)


def gaussian(sigma, size=21):
    offset = np.arange(size) - size // 2
    profile = np.exp(-0.5 * (offset / sigma) ** 2)
    kernel = np.outer(profile, profile)
    return kernel / kernel.sum()


def holes(shape, fraction=0.1, seed=1):
    return np.random.default_rng(seed).random(shape) < fraction


def test_good_pixels_are_kept():
    plane = np.random.default_rng(1).normal(size=(50, 61)).astype(np.float32)
    bad = holes(plane.shape)
    filled = fill_unusable(plane, bad)
    assert np.array_equal(filled[~bad], plane[~bad])


def test_filled_pixels_stay_within_the_range_of_the_good_ones():
    plane = np.random.default_rng(1).normal(size=(64, 64)).astype(np.float32)
    bad = holes(plane.shape, 0.4)
    filled = fill_unusable(np.where(bad, 1e9, plane), bad)
    assert filled.min() >= plane[~bad].min()
    assert filled.max() <= plane[~bad].max()


def test_holes_in_a_constant_are_filled_with_it():
    bad = np.zeros((90, 70), bool)
    bad[10:60, 5:50] = True
    bad[:, 65] = True
    assert fill_unusable(np.full(bad.shape, 3.5), bad) == pytest.approx(3.5)


def test_small_holes_in_a_slope_are_filled_with_it():
    y, x = np.mgrid[:64, :64]
    slope = (2.0 * x + y).astype(np.float32)
    bad = np.zeros(slope.shape, bool)
    bad[31, 20], bad[40, 41] = True, True
    # The mean over three good pixels of a block of four is off by its centroid,
    # up to 1/3 px along either axis.
    assert np.abs(fill_unusable(slope, bad) - slope).max() <= 1


def test_nan_and_infinite_pixels_are_filled():
    plane = np.ones((20, 20), np.float32)
    plane[3, 4], plane[10, 10] = np.nan, -np.inf
    assert fill_unusable(plane, np.zeros(plane.shape, bool)) == pytest.approx(1)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (32, 17)])
def test_image_without_a_good_pixel_becomes_zero(shape):
    filled = fill_unusable(np.full(shape, np.nan), np.ones(shape, bool))
    assert np.array_equal(filled, np.zeros(shape))


def test_one_good_pixel_fills_the_image():
    plane = np.full((33, 17), np.nan, np.float32)
    plane[30, 2] = 4
    assert fill_unusable(plane, np.zeros(plane.shape, bool)) == pytest.approx(4)


def test_filling_does_not_change_its_input():
    plane = np.full((9, 9), np.nan, np.float32)
    plane[0] = 1
    before = plane.copy()
    fill_unusable(plane, holes(plane.shape))
    assert np.array_equal(plane, before, equal_nan=True)


@pytest.mark.parametrize("fraction", [0.5, 0.9, 0.95])
def test_core_of_a_gaussian_ends_where_its_integral_says(fraction):
    # 1 - exp(-r^2 / 2 sigma^2) is the flux within r; rings of pixels are 1 wide.
    expected = 3 * np.sqrt(-2 * np.log(1 - fraction))
    radius = core_radius(gaussian(3.0, 31), fraction=fraction)
    assert radius == pytest.approx(expected, abs=0.5)


def test_core_counts_negative_parts():
    kernel = gaussian(1.0)
    kernel[10, 20] = -kernel.sum()
    assert core_radius(kernel) == 10


def test_core_of_a_delta_is_its_pixel():
    kernel = np.zeros((5, 5))
    kernel[2, 2] = 2
    mask = holes((40, 40))
    assert np.array_equal(dilate_by_disc(mask, core_radius(kernel)), mask)


@pytest.mark.parametrize("radius", [0.0, 1.0, 2.5, 6.3])
def test_dilation_reaches_everything_within_the_radius(radius):
    mask = np.zeros((50, 60), bool)
    mask[0, 0], mask[20:30, 31:33], mask[49, 20] = True, True, True
    y, x = np.mgrid[:50, :60]
    rows, columns = np.nonzero(mask)
    distance = np.hypot(y[..., None] - rows, x[..., None] - columns).min(axis=-1)
    assert np.array_equal(dilate_by_disc(mask, radius), distance <= radius)


def test_core_holds_what_leaks_from_a_bad_pixel():
    kernel = gaussian(2.0)
    mask = np.zeros((61, 61), bool)
    mask[30, 30] = True
    leak = convolve(mask.astype(np.float32), kernel)[
        ~dilate_by_disc(mask, core_radius(kernel))
    ]
    assert leak.sum() <= 0.1
