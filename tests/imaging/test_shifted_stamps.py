import numpy as np
import pytest

from streamdiff.imaging.shifted_stamps import shifted_with_derivatives
from streamdiff.model.psf import shift_matrix

STAMPS = np.random.default_rng(1).normal(size=(4, 9, 7))
# Among them none, one that is nearly none, and a whole pixel.
SHIFT = np.array([[0.3, -0.2], [0.0, 0.0], [-0.45, 1e-4], [1.0, 0.5]])
STEP = 1e-4


def shifted(shift):
    along_x, along_y = (
        shift_matrix(n, s) for n, s in zip((7, 9), shift.T, strict=True)
    )
    return along_y @ STAMPS @ along_x.swapaxes(1, 2)


def test_stamps_are_shifted_by_sinc_interpolation():
    found = shifted_with_derivatives(STAMPS, SHIFT, order=0)
    assert found[:, 0] == pytest.approx(shifted(SHIFT), abs=1e-12)


@pytest.mark.parametrize("axis", [0, 1])
def test_derivatives_are_limits_of_differences(axis):
    step = STEP * np.eye(2)[axis]
    terms, after, before = (
        shifted_with_derivatives(STAMPS, SHIFT + s, order=2) for s in (0, step, -step)
    )
    # By x then y of the value, of the slope by x, and of the slope by y.
    slopes = terms[:, [(1, 3, 4), (2, 4, 5)][axis]]
    differences = (after - before)[:, :3] / (2 * STEP)
    # The third derivative of sinc is below pi**3 / 4, on 63 pixels of a few.
    assert slopes == pytest.approx(differences, abs=1e-6)


def test_one_stamp_or_one_shift_stands_for_all():
    each = shifted_with_derivatives(np.repeat(STAMPS[:1], 4, axis=0), SHIFT, order=1)
    one = shifted_with_derivatives(STAMPS[:1], SHIFT, order=1)
    np.testing.assert_array_equal(one, each)
    still = shifted_with_derivatives(STAMPS, SHIFT[:1], order=1)
    assert still.shape == each.shape


def test_nothing_is_shifted_to_nothing():
    assert shifted_with_derivatives(STAMPS[:0], SHIFT[:0], order=2).shape[:2] == (0, 6)
