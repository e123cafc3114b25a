"""Second moments of PSFs."""

import numpy as np
import pytest

from streamdiff.model import ConstantPsf
from streamdiff.testing import GaussianProfile, VaryingProfile
from streamdiff_al.psf_shapes import (
    contains,
    mean_fwhm,
    second_moments,
    smallest_excess,
)

SHAPE = (64, 96)


def psf(fwhm=4.0, ellipticity=0.0, angle=0.0):
    return GaussianProfile(fwhm=fwhm, ellipticity=ellipticity, angle=angle).psf(SHAPE)


def test_width_is_the_mean_over_both_axes():
    round_width = mean_fwhm(psf(), SHAPE)
    assert mean_fwhm(psf(ellipticity=0.3), SHAPE) == pytest.approx(
        round_width, rel=0.01
    )


def test_moments_are_those_of_the_gaussian():
    moments = second_moments(psf(ellipticity=0.3), SHAPE)
    variance = 4.0**2 / (8 * np.log(2))
    # The longer axis is along x; iteration leaves 1e-3 of the first guess's error.
    expected = np.diag([variance / 0.7, variance * 0.7])
    assert moments == pytest.approx(np.tile(expected, (9, 1, 1)), abs=1e-2)


def test_moments_follow_the_psf_over_the_image():
    profile = VaryingProfile(middle=GaussianProfile(fwhm=4.0), fwhm_slope=(0.1, 0))
    widths = second_moments(profile.psf(SHAPE), SHAPE)[:, 0, 0].reshape(3, 3)
    assert (np.diff(widths, axis=1) > 0.1).all()
    assert np.abs(np.diff(widths, axis=0)).max() < 1e-6


@pytest.mark.parametrize("side", [1, 3])
def test_tiny_stamps_have_moments(side):
    assert np.isfinite(second_moments(ConstantPsf(np.ones((side, side))), SHAPE)).all()


def test_a_wider_psf_contains_a_narrower_one_by_a_margin():
    wide, narrow = (second_moments(psf(fwhm), SHAPE) for fwhm in (4.0, 3.0))
    # sqrt(16 - 9) / 2.355 = 1.12 px lie between them.
    assert contains(wide, narrow, 1.1)
    assert not contains(wide, narrow, 1.15)
    assert not contains(narrow, wide, 0)


def test_nothing_is_to_be_added_to_a_psf_that_contains_the_other():
    wide, narrow = (second_moments(psf(fwhm), SHAPE) for fwhm in (4.0, 3.0))
    assert smallest_excess(wide, narrow, 1.0) == pytest.approx(0)


@pytest.mark.parametrize("angle", [0, 35, 90])
def test_excess_makes_a_psf_contain_the_other(angle):
    moments = second_moments(psf(4.2, 0.2), SHAPE)
    wanted = second_moments(psf(4.0, 0.3, angle), SHAPE)
    excess = smallest_excess(moments, wanted, 0.7)
    assert contains(moments + excess, wanted, 0.7 - 1e-9)
    assert np.linalg.eigvalsh(excess).min() >= -1e-9
