"""Principal components of candidates' kernels."""

import numpy as np
import pytest

from streamdiff_al.delta_basis import delta_basis
from streamdiff_al.pca import NoVariationError, principal_mixes

BASIS = delta_basis(5)


def kernels(n, n_shapes, seed=1):
    """Return kernels of sum 1 to 3 that vary along some shapes."""
    rng = np.random.default_rng(seed)
    shapes = rng.normal(size=(n_shapes, len(BASIS)))
    shapes[:, 0] = 0
    mean = rng.normal(size=len(BASIS))
    mean[0] = 1
    found = mean + rng.normal(size=(n, n_shapes)) @ shapes
    return rng.uniform(1, 3, (n, 1)) * found


def principal(found, n_components=5):
    mixes = principal_mixes(found, np.ones(len(found)), BASIS, n_components)
    return np.tensordot(mixes, BASIS, 1)


def test_mean_kernel_sums_to_one_and_components_to_zero():
    sums = principal(kernels(20, 3)).sum(axis=(1, 2))
    assert sums == pytest.approx([1, 0, 0, 0], abs=1e-9)


def test_components_are_orthonormal():
    components = principal(kernels(20, 3))[1:].reshape(3, -1)
    assert components @ components.T == pytest.approx(np.eye(3), abs=1e-9)


def test_kernels_are_sums_of_the_mean_and_the_components():
    found = kernels(20, 3)
    pixels = np.tensordot(found / found[:, :1], BASIS, 1).reshape(20, -1)
    basis = principal(found).reshape(4, -1)
    fitted = np.linalg.lstsq(basis.T, pixels.T, rcond=None)[0]
    assert basis.T @ fitted == pytest.approx(pixels.T, abs=1e-9)


def test_no_more_components_than_asked_for():
    assert len(principal(kernels(20, 8), n_components=5)) == 6


def test_no_more_components_than_kernels_tell():
    assert len(principal(kernels(3, 8))) == 3


def test_kernels_that_are_not_known_have_no_say():
    found = kernels(20, 3)
    weights = np.ones(20)
    weights[10:], found[10:, 1:] = 0, 1e6
    mixes = principal_mixes(found, weights, BASIS, 5)
    assert mixes == pytest.approx(principal_mixes(found[:10], weights[:10], BASIS, 5))


def test_equal_kernels_have_no_components():
    with pytest.raises(NoVariationError, match="same shape"):
        principal(np.repeat(np.eye(len(BASIS))[:1], 4, axis=0))


def test_kernels_without_positive_sum_have_no_components():
    with pytest.raises(NoVariationError, match="positive"):
        principal(-kernels(5, 2))
