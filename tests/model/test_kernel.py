"""The kernel that matches two PSFs, and how well it is known."""

import numpy as np
import pytest

from streamdiff.model import MatchingKernel

RNG = np.random.default_rng(1)
SHAPE = (40, 60)
BASIS = RNG.normal(size=(2, 3, 3))
COEFFICIENTS = RNG.normal(size=(2, 3))
FACTOR = RNG.normal(size=(6, 6))


def kernel(covariance=None, coefficients=COEFFICIENTS):
    return MatchingKernel(
        basis=BASIS,
        coefficients=coefficients,
        image_shape=SHAPE,
        covariance=covariance,
    )


def test_variances_are_those_of_kernels_whose_coefficients_scatter():
    # A scatter of six kernels that have exactly this covariance.
    scattered = [
        kernel(coefficients=COEFFICIENTS + change.reshape(2, 3))
        for change in np.sqrt(6) * np.concatenate([FACTOR, -FACTOR])
    ]
    known = kernel(FACTOR.T @ FACTOR)
    for x, y in ((0, 0), (59, 12.5)):
        pixels = np.var([k.at(x, y) for k in scattered], axis=0)
        assert known.variance_at(x, y) == pytest.approx(pixels)
        sums = np.var([k.sum_at(x, y) for k in scattered])
        assert known.sum_variance_at(x, y) == pytest.approx(sums)


def test_kernel_without_covariance_has_no_variance():
    with pytest.raises(ValueError, match="not known"):
        kernel().variance_at(3, 3)


def test_covariance_must_be_that_of_all_coefficients():
    with pytest.raises(ValueError, match="6 coefficients"):
        kernel(np.eye(3))
