"""Convolution with constant and varying kernels."""

import numpy as np
import pytest
import scipy.fft
from scipy.signal import oaconvolve

from streamdiff.imaging.convolve import convolve, convolve_matching, convolve_varying
from streamdiff.model import MatchingKernel

# Rounding of float32 transforms, relative to the largest value.
ROUNDING = 2e-6


def random_plane(shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def random_kernel(shape, seed=2):
    return np.random.default_rng(seed).normal(size=shape)


def direct(plane, kernel):
    """Convolve in double precision, zero outside."""
    full = oaconvolve(plane.astype(float), kernel)
    ky, kx = kernel.shape
    return full[ky // 2 :, kx // 2 :][: plane.shape[0], : plane.shape[1]]


def gaussian(sigma, size=21):
    offset = np.arange(size) - size // 2
    profile = np.exp(-0.5 * (offset / sigma) ** 2)
    kernel = np.outer(profile, profile)
    return kernel / kernel.sum()


SHAPES = [
    ((1, 1), (3, 3)),
    ((1, 300), (5, 7)),
    ((33, 17), (21, 21)),
    ((64, 64), (71, 71)),
    ((300, 517), (9, 31)),
]


@pytest.mark.parametrize(("shape", "kernel_shape"), SHAPES)
def test_convolution_agrees_with_the_direct_sum(shape, kernel_shape):
    plane, kernel = random_plane(shape), random_kernel(kernel_shape)
    expected = direct(plane, kernel)
    error = np.abs(convolve(plane, kernel) - expected).max()
    assert error <= ROUNDING * np.abs(kernel).sum() * np.abs(plane).max()


@pytest.mark.parametrize(("shape", "kernel_shape"), SHAPES)
def test_varying_convolution_with_one_kernel_is_a_convolution(shape, kernel_shape):
    plane, kernel = random_plane(shape), random_kernel(kernel_shape)
    varying = convolve_varying(plane, lambda _x, _y: kernel, kernel_shape, cell=64)
    error = np.abs(varying - direct(plane, kernel)).max()
    assert error <= ROUNDING * np.abs(kernel).sum() * np.abs(plane).max()


def test_kernel_is_not_mirrored():
    plane = np.zeros((31, 31), np.float32)
    plane[10, 12] = 1
    kernel = random_kernel((5, 7))
    around = convolve(plane, kernel)[8:13, 9:16]
    assert around == pytest.approx(kernel, abs=1e-5)


def test_pixels_get_the_kernel_of_their_own_position():
    plane = random_plane((150, 200))
    east, west = random_kernel((5, 5), 3), random_kernel((5, 5), 4)

    def kernel_at(x, y):
        return west + (x / 199) * (east - west) + (y / 149) * east

    varying = convolve_varying(plane, kernel_at, (5, 5), cell=32)
    y, x = np.mgrid[:150, :200]
    expected = (1 - x / 199) * direct(plane, west)
    expected += (x / 199 + y / 149) * direct(plane, east)
    assert np.abs(varying - expected).max() < 1e-4


def test_no_seam_shows_on_a_bright_star():
    # A star of 100 sigma per pixel with its wings over a corner of four cells.
    y, x = np.mgrid[:256, :256]
    star = 100 * np.exp(-0.5 * ((x - 127.5) ** 2 + (y - 127.5) ** 2) / 3**2)

    def kernel_at(x, y):
        return gaussian(1 + (x + 2 * y) / 512, 15)

    coarse = convolve_varying(star, kernel_at, (15, 15), cell=128)
    fine = convolve_varying(star, kernel_at, (15, 15), cell=16)
    error = coarse - fine
    jump_x = np.abs(np.diff(error, axis=1))[:, 127]
    jump_y = np.abs(np.diff(error, axis=0))[127]
    assert max(jump_x.max(), jump_y.max()) < 0.1


def test_nothing_lies_outside_the_image():
    ones = np.ones((40, 40), np.float32)
    kernel = gaussian(2.0)
    assert convolve(ones, kernel)[0, 20] == pytest.approx(kernel[:11].sum(), abs=1e-5)


def test_constant_image_stays_constant_with_a_mirror_border():
    constant = np.full((37, 90), 7, np.float32)
    assert convolve(constant, gaussian(2.0), border="mirror") == pytest.approx(7)


def test_flux_away_from_the_border_is_multiplied_by_the_kernel_sum():
    plane = np.zeros((200, 200), np.float32)
    plane[90:110, 90:110] = random_plane((20, 20)) + 5
    convolved = convolve(plane, 2.5 * gaussian(2.0))
    assert convolved.sum(dtype=float) == pytest.approx(
        2.5 * plane.sum(dtype=float), rel=1e-5
    )


def test_inputs_are_not_changed():
    plane, kernel = random_plane((50, 50)), random_kernel((5, 5))
    plane.flags.writeable = kernel.flags.writeable = False
    before = plane.copy()
    convolve(plane, kernel)
    convolve_varying(plane, lambda _x, _y: kernel, (5, 5))
    assert np.array_equal(plane, before)


def test_even_kernels_are_refused():
    with pytest.raises(ValueError, match="odd"):
        convolve(random_plane((9, 9)), np.ones((2, 3)))


def test_kernels_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="announced"):
        convolve_varying(random_plane((9, 9)), lambda _x, _y: np.ones((5, 5)), (3, 3))


def matching_kernel(order, shape=(160, 220), seed=5):
    rng = np.random.default_rng(seed)
    n_terms = (order + 1) * (order + 2) // 2
    return MatchingKernel(
        basis=rng.normal(size=(4, 7, 7)),
        coefficients=rng.normal(size=(4, n_terms)),
        image_shape=shape,
    )


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("squared", [False, True])
def test_matching_kernel_is_applied_as_it_is_at_each_position(order, squared):
    kernel = matching_kernel(order)
    plane = random_plane(kernel.image_shape)
    convolved = convolve_matching(plane, kernel, squared=squared)
    # Nodes of the interpolation, where squares are exact, too.
    for x, y in [(0, 0), (96, 64), (219, 159)]:
        local = kernel.at(x, y) ** (2 if squared else 1)
        expected = direct(plane, local)[y, x]
        assert convolved[y, x] == pytest.approx(expected, abs=2e-4 * abs(local).sum())


def test_quadratic_kernel_is_followed_between_the_nodes():
    kernel = matching_kernel(2, shape=(512, 512))
    plane = random_plane(kernel.image_shape)
    convolved = convolve_matching(plane, kernel)
    # Cells of 32 px are 1/8 of the half width: bilinear interpolation misses at
    # most (1/8)^2 / 8 of the second derivatives, 4 for T_2, along either axis.
    missed = (
        2
        * 4
        / 8**3
        * np.abs(np.tensordot(kernel.coefficients[:, 3:].T, kernel.basis, 1)).sum()
        * np.abs(plane).max()
    )
    for x, y in [(17, 500), (240, 271), (400, 31)]:
        expected = direct(plane, kernel.at(x, y))[y, x]
        assert abs(convolved[y, x] - expected) < missed


@pytest.mark.parametrize("squared", [False, True])
def test_threads_do_not_change_a_bit(squared):
    kernel = matching_kernel(2, shape=(300, 220))
    plane = random_plane(kernel.image_shape)
    alone = convolve_matching(plane, kernel, squared=squared, border="mirror")
    with scipy.fft.set_workers(3):
        together = convolve_matching(plane, kernel, squared=squared, border="mirror")
    np.testing.assert_array_equal(alone, together)


@pytest.mark.parametrize("shape", [(5, 300), (40, 17), (300, 280)])
def test_a_mirror_shows_the_image_beside_its_border(shape):
    plane, kernel = random_plane(shape), random_kernel((9, 13))
    mirrored = np.pad(plane, ((4, 4), (6, 6)), mode="symmetric")
    expected = direct(mirrored, kernel)[4:-4, 6:-6]
    error = np.abs(convolve(plane, kernel, border="mirror") - expected).max()
    assert error <= ROUNDING * np.abs(kernel).sum() * np.abs(plane).max()
