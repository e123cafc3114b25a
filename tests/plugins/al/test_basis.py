"""The basis of the matching kernel: rules D1 and D2 of the reference system."""

import numpy as np
import pytest

from streamdiff.errors import ConfigError
from streamdiff_al.basis import BasisRules, alard_lupton_basis

SIGMAS, DEGREES = (0.7, 1.5, 3.0), (4, 2, 2)


@pytest.fixture
def basis():
    return alard_lupton_basis(21, SIGMAS, DEGREES)


def test_there_is_a_kernel_for_each_term_of_each_polynomial(basis):
    assert basis.shape == (15 + 6 + 6, 21, 21)


def test_first_kernel_sums_to_one(basis):
    assert basis[0].sum() == pytest.approx(1, abs=1e-12)


def test_all_others_sum_to_zero(basis):
    assert basis[1:].sum(axis=(1, 2)) == pytest.approx(0, abs=1e-12)


def test_squares_of_all_others_sum_to_one(basis):
    assert np.square(basis[1:]).sum(axis=(1, 2)) == pytest.approx(1, abs=1e-12)


def test_even_kernels_are_refused():
    with pytest.raises(ValueError, match="odd"):
        alard_lupton_basis(20, SIGMAS, DEGREES)


def test_widths_follow_from_the_widths_of_the_psfs():
    # sqrt(5^2 - 3^2) = 4 px of FWHM; half of it, then times beta.
    sigma = 4 / np.sqrt(8 * np.log(2))
    expected = (sigma / 2, sigma, 2 * sigma)
    assert BasisRules().widths(3, 5) == pytest.approx(expected)


def test_one_gaussian_has_the_width_that_matches():
    rules = BasisRules(degrees=(3,), sigmas=(1.0,))
    assert rules.widths(3, 5) == pytest.approx((4 / np.sqrt(8 * np.log(2)),))


def test_widths_are_floored_the_lower_for_deconvolution():
    rules = BasisRules()
    assert rules.widths(3.0, 3.01)[0] == rules.min_sigma
    assert rules.widths(3.01, 3.0)[0] == rules.min_sigma_deconvolution


def test_equal_psfs_take_the_configured_widths():
    assert BasisRules().widths(3.3, 3.3) == SIGMAS


def test_widths_are_not_scaled_on_request():
    assert BasisRules(scale_by_fwhm=False).widths(3, 9) == SIGMAS


@pytest.mark.parametrize(("widest", "size"), [(1.0, 21), (4.5, 27), (4.4, 27), (9, 35)])
def test_kernel_is_odd_and_within_its_limits(widest, size):
    assert BasisRules().size((0.7, widest)) == size


@pytest.mark.parametrize(
    "options",
    [
        {"degrees": (4, 2)},
        {"degrees": (), "sigmas": ()},
        {"sigmas": (0.7, -1.0, 3.0)},
        {"min_size": 20},
        {"min_size": 37},
    ],
)
def test_wrong_combinations_are_refused(options):
    with pytest.raises(ConfigError, match=r"subtract\.al"):
        BasisRules(**options)
