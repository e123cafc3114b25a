"""Convolution along one axis after the other."""

import numpy as np
import pytest
from scipy.signal import fftconvolve

from streamdiff_al.basis import alard_lupton_basis
from streamdiff_al.delta_basis import delta_basis
from streamdiff_al.separable import Separable

RNG = np.random.default_rng(1)


@pytest.mark.parametrize(
    "kernels",
    [
        alard_lupton_basis(21, (0.7, 1.4, 2.8), (4, 4, 2)),
        alard_lupton_basis(9, (0.1, 1.5), (0, 1)),
        delta_basis(5),
        RNG.normal(size=(4, 7, 7)),
        np.zeros((2, 3, 3)),
    ],
    ids=["gaussians", "narrow", "pixels", "any", "nothing"],
)
def test_pixels_are_convolved_with_each_kernel(kernels):
    pixels = RNG.normal(size=(33, 33))
    side = 33 - kernels.shape[-1] + 1
    expected = fftconvolve(pixels[np.newaxis], kernels, "valid", axes=(1, 2))
    convolved = Separable.of(kernels, side).convolve(pixels)
    assert convolved == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    "kernels", [alard_lupton_basis(21, (0.7, 1.4, 2.8), (4, 4, 2)), delta_basis(7)]
)
def test_kernels_of_a_basis_are_two_products_at_the_most(kernels):
    assert len(Separable.of(kernels, 9).owners) == 2
