"""The basis of free pixels."""

import numpy as np
import pytest

from streamdiff_al.delta_basis import delta_basis


def test_first_kernel_sums_to_one_and_all_others_to_zero():
    sums = delta_basis(5).sum(axis=(1, 2))
    assert sums == pytest.approx([1, *([0] * 24)])


def test_any_kernel_is_in_the_basis():
    kernel = np.random.default_rng(1).normal(size=(5, 5))
    basis = delta_basis(5).reshape(25, -1)
    coefficients = np.linalg.solve(basis.T, kernel.ravel())
    assert basis.T @ coefficients == pytest.approx(kernel.ravel())
    # The coefficient of the first is the sum of the kernel.
    assert coefficients[0] == pytest.approx(kernel.sum())


def test_even_kernels_are_refused():
    with pytest.raises(ValueError, match="odd"):
        delta_basis(4)
