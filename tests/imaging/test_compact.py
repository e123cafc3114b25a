"""Convolution with small kernels that differ from cell to cell."""

import numpy as np
import pytest
import scipy.fft

from streamdiff.imaging.compact import convolve_compact
from streamdiff.imaging.convolve import convolve

# One kernel for one cell.
ALONE = np.ones((1, 1, 1))


def random_plane(shape):
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def random_kernels(shape):
    return np.random.default_rng(2).normal(size=shape)


@pytest.mark.parametrize("border", ["zero", "mirror"])
@pytest.mark.parametrize("shape", [(1, 1), (5, 200), (150, 301)])
@pytest.mark.parametrize("kernel_shape", [(1, 1), (3, 5), (7, 7), (9, 3)])
def test_one_kernel_for_all_is_a_convolution(shape, kernel_shape, border):
    plane, kernel = random_plane(shape), random_kernels(kernel_shape)
    compact = convolve_compact(plane, kernel[np.newaxis], ALONE, border=border)
    error = np.abs(compact - convolve(plane, kernel, border=border)).max()
    # Rounding of float32 transforms, relative to the largest value.
    assert error <= 2e-6 * np.abs(kernel).sum() * np.abs(plane).max()


def test_every_cell_has_its_own_kernel():
    # The last of three equal parts of 266 rows are cut.
    plane, height, width = random_plane((266, 390)), 89, 130
    kernels, weights = random_kernels((2, 5, 5)), random_kernels((3, 3, 2))
    compact = convolve_compact(plane, kernels, weights)
    for j, i in np.ndindex(3, 3):
        cell = np.s_[j * height : (j + 1) * height, i * width : (i + 1) * width]
        expected = convolve(plane, np.tensordot(weights[j, i], kernels, 1))[cell]
        assert compact[cell] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("slopes_shape", [(7, 5), (3, 3), (5, 1)])
def test_kernels_change_from_side_to_side_of_a_cell(slopes_shape):
    plane = random_plane((100, 300))
    mean, slope, other = random_kernels((3, 7, 5)) / [[[1]], [[2]], [[2]]]
    weights = np.eye(3)[np.newaxis, np.newaxis, [0, 2, 1]]
    slopes = random_kernels((3, *slopes_shape))
    compact = convolve_compact(
        plane, np.array([mean, slope, other]), weights, slopes=slopes
    )
    of_mean, of_x, of_y = (convolve(plane, k) for k in (mean, slopes[2], slope))
    steps_y, steps_x = (np.linspace(-0.5, 0.5, n) for n in plane.shape)
    expected = of_mean + steps_x * of_x + steps_y[:, np.newaxis] * of_y
    assert compact == pytest.approx(expected, abs=1e-4)


def test_threads_do_not_change_a_bit():
    plane, kernels = random_plane((400, 200)), random_kernels((2, 5, 3))
    weights = random_kernels((4, 2, 2))
    alone = convolve_compact(plane, kernels, weights, border="mirror")
    with scipy.fft.set_workers(2):
        together = convolve_compact(plane, kernels, weights, border="mirror")
    np.testing.assert_array_equal(alone, together)


def test_even_kernels_are_refused():
    with pytest.raises(ValueError, match="odd"):
        convolve_compact(random_plane((9, 9)), np.ones((1, 2, 3)), ALONE)
