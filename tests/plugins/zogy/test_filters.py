"""The filters of proper subtraction."""

import numpy as np
import pytest

from streamdiff.testing import GaussianProfile, MoffatProfile
from streamdiff_zogy.filters import (
    ProperFilters,
    fast_odd_side,
    stamp_of,
    transform_centred,
)

SIDE = 81
GRID = SIDE, SIDE


def filters(science, template, share=0.8, flux_ratio=1.0):
    return ProperFilters.of(
        transform_centred(science.stamp(), GRID),
        transform_centred(template.stamp(), GRID),
        science_share=share,
        flux_ratio=flux_ratio,
    )


PAIRS = [
    (GaussianProfile(fwhm=3.8), GaussianProfile(fwhm=2.8)),
    (MoffatProfile(fwhm=2.8), MoffatProfile(fwhm=3.8, ellipticity=0.2, angle=30)),
]


@pytest.mark.parametrize(("science", "template"), PAIRS)
@pytest.mark.parametrize("flux_ratio", [0.8, 1.0])
def test_noise_has_the_same_power_at_all_frequencies(science, template, flux_ratio):
    # Noise powers in the ratio that the share stands for.
    s_n, s_r = 0.8 * flux_ratio**2, 0.2
    of = filters(science, template, flux_ratio=flux_ratio)
    power = s_n * np.abs(of.science) ** 2 + s_r * np.abs(of.template) ** 2
    assert power == pytest.approx(s_n / flux_ratio**2 + s_r, rel=1e-6)


@pytest.mark.parametrize(("science", "template"), PAIRS)
def test_static_stars_vanish(science, template):
    of = filters(science, template, flux_ratio=0.8)
    star = 0.8 * transform_centred(science.stamp(), GRID) * of.science
    star -= transform_centred(template.stamp(), GRID) * of.template
    # Where neither PSF passes anything, as much is left of either.
    assert np.abs(star).max() < 2e-3


def test_psf_has_the_flux_of_the_template():
    of = filters(*PAIRS[0], flux_ratio=0.8)
    assert of.psf[0, 0].real == pytest.approx(1, abs=1e-6)


def test_equal_psfs_are_left_alone():
    profile = GaussianProfile(fwhm=3.0)
    of = filters(profile, profile)
    assert np.abs(of.science) == pytest.approx(1, abs=1e-6)
    assert stamp_of(of.psf, SIDE) == pytest.approx(profile.stamp(size=SIDE), abs=1e-6)


def test_score_filters_the_difference_with_its_psf():
    of = filters(*PAIRS[1])
    scored = of.of_score()
    assert scored.science == pytest.approx(of.science * of.psf.conj())
    assert scored.template == pytest.approx(of.template * of.psf.conj())


@pytest.mark.parametrize("shape", [(15, 15), (7, 21), (1, 1)])
def test_a_stamp_survives_its_transform(shape):
    stamp = np.random.default_rng(1).normal(size=shape)
    back = stamp_of(transform_centred(stamp, (27, 27)), 27)
    y, x = (13 - n // 2 for n in shape)
    assert back[y : y + shape[0], x : x + shape[1]] == pytest.approx(stamp)
    assert np.abs(back).sum() == pytest.approx(np.abs(stamp).sum())


def test_fast_sides_are_odd_and_have_small_prime_factors_only():
    assert [fast_odd_side(n) for n in (1, 44, 47, 60, 99)] == [1, 45, 75, 75, 125]
