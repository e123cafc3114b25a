import warnings

import numpy as np
import pytest

from streamdiff_coadd.pixel_loops import clipped_means, medians

SHAPE = (20, 30)


def some_values(n, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, *SHAPE)).astype(np.float32)
    values[rng.random(values.shape) < 0.3] = np.nan
    values[:, :5] = np.round(values[:, :5])  # ties
    return values


@pytest.mark.parametrize("n", [1, 2, 3, 4, 9, 20, 101])
def test_medians_are_those_of_numpy(n):
    values = some_values(n)
    median, number = np.empty(SHAPE, np.float32), np.empty(SHAPE, np.uint16)
    medians(values.copy(), median, number)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of empty slices
        expected = np.nan_to_num(np.nanmedian(values, axis=0))
    np.testing.assert_allclose(median, expected, rtol=1e-6)
    np.testing.assert_array_equal(number, np.isfinite(values).sum(axis=0))


def test_means_leave_out_what_is_far_from_the_median():
    values = np.array([1, 2, 3, 90, np.nan], np.float32)[:, np.newaxis, np.newaxis]
    variances = np.array([4, 1, 1, 1, 1], np.float32)[:, np.newaxis, np.newaxis]
    weights = np.array([0.1, 0.4, 0.2, 0.2, 0.1], np.float32)
    one = np.ones((1, 1), np.float32)
    planes = np.empty((3, 1, 1), np.float32)
    clipped_means(values, variances, weights, 2.5 * one, 0.5 * one, 3 * one, planes)
    used = weights[:3]
    mean = (used * [1, 2, 3]).sum() / used.sum()
    variance = (used**2 * [4, 1, 1]).sum() / used.sum() ** 2
    np.testing.assert_allclose(planes[:, 0, 0], [mean, variance, used.sum()], rtol=1e-6)


def test_where_nothing_is_near_the_median_stays():
    values = np.full((2, 1, 1), np.nan, np.float32)
    one = np.ones((1, 1), np.float32)
    planes = np.empty((3, 1, 1), np.float32)
    clipped_means(values, values, np.ones(2, np.float32), 0 * one, 0 * one, one, planes)
    assert planes[:, 0, 0].tolist() == [0, 0, 0]
