import numpy as np
import pytest

from streamdiff_al.discrete_gaussian import discrete_gaussian

COVARIANCES = {
    "round": [[2.0, 0.0], [0.0, 2.0]],
    "oblique": [[3.0, 1.2], [1.2, 1.0]],
    "a line": [[1.5, 1.5], [1.5, 1.5]],
    "narrow": [[0.01, 0.0], [0.0, 0.02]],
    "nothing": [[0.0, 0.0], [0.0, 0.0]],
}


@pytest.mark.parametrize("covariance", COVARIANCES.values(), ids=COVARIANCES)
def test_moments_are_exact_however_narrow_it_is(covariance):
    kernel = discrete_gaussian(np.array(covariance))
    half = kernel.shape[0] // 2
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    moments = [[(kernel * a * b).sum() for a in (x, y)] for b in (x, y)]
    assert kernel.sum() == pytest.approx(1)
    # 4 sigma off the middle, a Gaussian of 3 px**2 has 1e-3 px**2 left.
    assert np.array(moments) == pytest.approx(np.array(covariance), abs=2e-3)


@pytest.mark.parametrize("covariance", COVARIANCES.values(), ids=COVARIANCES)
def test_no_frequency_is_lost(covariance):
    kernel = discrete_gaussian(np.array(covariance))
    spectrum = np.abs(np.fft.fft2(kernel))
    # exp(-2 (c_xx + c_yy)) at the highest ones of the round one.
    assert spectrum.min() > 1e-4


def test_a_wide_one_is_a_gaussian():
    kernel = discrete_gaussian(np.diag([9.0, 9.0]))
    half = kernel.shape[0] // 2
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    expected = np.exp(-(x**2 + y**2) / 18) / (18 * np.pi)
    # The next term of the exponent, k**4 / 24, makes the peak 3 % higher.
    assert kernel == pytest.approx(expected, abs=0.04 * expected.max())


def test_sides_are_odd():
    for width in np.linspace(0, 3, 7):
        kernel = discrete_gaussian(width**2 * np.eye(2))
        assert kernel.shape[0] == kernel.shape[1]
        assert kernel.shape[0] % 2
