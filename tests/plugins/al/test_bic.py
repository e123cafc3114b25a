"""How many basis kernels the candidates justify."""

import numpy as np
import pytest

from streamdiff_al.basis import alard_lupton_basis
from streamdiff_al.bic import choose_degrees, kept_rows
from streamdiff_al.cutter import Cutter
from streamdiff_al.pixels import Pixels

DEGREES, SIGMAS = (2, 1, 1), (0.8, 1.6, 3.2)
BASIS = alard_lupton_basis(15, SIGMAS, DEGREES)


def test_kernels_of_lower_degrees_are_among_those_of_the_full_basis():
    lowered = (1, -1, 1)
    expected = alard_lupton_basis(15, (0.8, 3.2), (1, 1))
    assert BASIS[kept_rows(DEGREES, lowered)] == pytest.approx(expected)


def candidate(coefficients, noise=0.01):
    """Return a white image and what some kernels of the basis make of it."""
    rng = np.random.default_rng(2)
    image = rng.normal(size=(61, 61)).astype(np.float32)
    none = np.zeros((61, 61), bool)
    pixels = Pixels(
        image=image,
        variance=np.full((61, 61), noise**2 / 2, np.float32),
        mask=np.zeros((61, 61), np.int32),
        usable=np.ones((61, 61), bool),
        saturated=none,
        no_data=none,
    )
    cutter = Cutter.of(pixels, pixels, BASIS, half=15, order=0)
    cutout = cutter.cut(30, 30)
    clean = np.tensordot(coefficients, cutout.convolved, 1)
    target = clean + noise * rng.normal(size=clean.shape)
    return type(cutout)(
        terms=cutout.terms,
        target=target,
        convolved=cutout.convolved,
        target_variance=cutout.target_variance,
        source_variance=cutout.source_variance,
        usable=cutout.usable,
    )


@pytest.mark.parametrize("truth", [(0, -1, -1), (2, -1, -1), (0, 1, -1), (1, -1, 0)])
def test_the_true_basis_is_chosen(truth):
    coefficients = np.zeros(len(BASIS))
    coefficients[kept_rows(DEGREES, truth)] = 1
    assert choose_degrees([candidate(coefficients)], DEGREES) == truth
