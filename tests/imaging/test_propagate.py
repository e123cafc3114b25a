"""The variance of noise after a convolution."""

import numpy as np
import pytest

from streamdiff.imaging.convolve import convolve_matching
from streamdiff.imaging.propagate import propagate_matching
from streamdiff.model import MatchingKernel

SHAPE = 300, 260


def _kernel(order: int, sigma: float) -> MatchingKernel:
    offset = np.arange(31) - 15
    radius2 = np.square(offset) + np.square(offset[:, np.newaxis])
    basis = np.array([np.exp(-radius2 / 2 / (w * sigma) ** 2) for w in (1, 1.4)])
    basis /= basis.sum(axis=(1, 2), keepdims=True)
    coefficients = np.zeros((2, (order + 1) * (order + 2) // 2))
    coefficients[:, 0] = 0.7, 0.3
    coefficients[:, 1:] = [[0.1], [-0.1]]
    return MatchingKernel(basis=basis, coefficients=coefficients, image_shape=SHAPE)


def _variance() -> np.ndarray:
    """Return blank sky and the photon noise of bright stars."""
    variance = np.full(SHAPE, 25, np.float32)
    y, x = np.indices(SHAPE)
    for row, column in ((50, 60), (150, 201), (2, 120)):
        distance2 = np.square(y - row) + np.square(x - column)
        variance += 500 * np.exp(-distance2 / 2 / 1.5**2).astype(np.float32)
    return variance


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("sigma", [1.0, 3.0])
def test_variance_is_that_of_a_convolution_with_the_squared_kernel(order, sigma):
    kernel, variance = _kernel(order, sigma), _variance()
    exact = convolve_matching(variance, kernel, squared=True, border="mirror")
    # 3e-4 of the squared kernel is cut off, and stars are 20 times the sky; its shape
    # is that of the middle of 128 px, where coefficients differ by 0.05.
    assert propagate_matching(variance, kernel) == pytest.approx(exact, rel=0.02)


def test_variance_of_blank_sky_grows_by_the_sum_of_the_squared_kernel():
    kernel = _kernel(0, 2.0)
    sky = propagate_matching(np.full(SHAPE, 4, np.float32), kernel)
    assert sky == pytest.approx(4 * np.square(kernel.at(0, 0)).sum(), rel=1e-5)
