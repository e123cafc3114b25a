import numpy as np
import pytest

from streamdiff.imaging.moved_psf import moved_psf
from streamdiff.model import (
    Area,
    CoaddPsf,
    ConstantPsf,
    GridPsf,
    PolynomialPsf,
    PsfComponent,
)

RNG = np.random.default_rng(1)
CONSTANT = ConstantPsf(RNG.random((3, 5)))
GRID = GridPsf(stamps=RNG.random((2, 3, 5, 5)), x=[0, 40, 90], y=[10, 70])
LEFT, RIGHT = (
    Area(((x, 0.0), (x + 50, 0.0), (x + 50, 99.0), (x, 99.0))) for x in (0.0, 51.0)
)
COADD = CoaddPsf(
    (
        PsfComponent(psf=GRID, weight=1.0, area=LEFT),
        PsfComponent(psf=CONSTANT, weight=1.0, area=RIGHT),
    )
)
POLYNOMIAL = PolynomialPsf(coefficients=RNG.random((3, 5, 5)), image_shape=(100, 100))


@pytest.mark.parametrize("psf", [CONSTANT, GRID, COADD, POLYNOMIAL])
def test_a_moved_psf_is_the_same_at_the_moved_position(psf):
    moved = moved_psf(psf, 30, -200)
    assert moved.shape == psf.shape
    for x, y in ((5.0, 11.0), (49.9, 50.3), (52.0, 3.0)):
        at = x + 30, y - 200
        np.testing.assert_allclose(moved.centred_at(*at), psf.centred_at(x, y))
        np.testing.assert_allclose(moved.at(*at), psf.at(x, y), atol=1e-12)
