"""Depth, widths and residuals that are told of a difference are the true ones."""

from dataclasses import replace

import numpy as np
import pytest

from streamdiff.imaging.quality import (
    footprint_ratio,
    limiting_flux,
    noise_ratio,
    quality,
    star_quality,
)
from streamdiff.model import (
    Convolved,
    Difference,
    FluxScale,
    MaskPlane,
    Noise,
    StarList,
)
from streamdiff.testing import Scene

NOISE, FWHM = 10.0, 3.5
SCENE = Scene.star_field(
    shape=(256, 256), density_per_mpx=1500, seed=2, flux_range=(5e3, 1e5)
)
SCIENCE = SCENE.observe(fwhm=FWHM, noise=NOISE, seed=1)
TEMPLATE = SCENE.observe(fwhm=FWHM, noise=NOISE / 2, seed=2)
# A Gaussian of width sigma has a noise-equivalent area of 4 pi sigma^2.
AREA = 4 * np.pi * (FWHM / np.sqrt(8 * np.log(2))) ** 2


def subtracted(science=SCIENCE, template=TEMPLATE, **changes):
    plain = Difference(
        id=science.id,
        image=science.image - template.image,
        variance=science.variance + template.variance,
        mask=science.mask,
        psf=science.psf,
        wcs=science.wcs,
        flux_scale=FluxScale.TEMPLATE,
        kernel_sum=1.0,
        convolved=Convolved.NONE,
        noise=Noise.WHITE,
    )
    return replace(plain, **changes)


def test_the_limit_is_five_times_the_error_of_a_flux():
    # the sky's level of the variance is read among pixels with photon noise: 2 %
    assert limiting_flux(SCIENCE) == pytest.approx(5 * NOISE * AREA**0.5, rel=0.02)


def test_correlated_noise_is_in_the_limit():
    correlated = replace(SCIENCE, covariance_factor=4.0)
    assert limiting_flux(correlated) == pytest.approx(2 * limiting_flux(SCIENCE))


def test_magnitudes_are_ab():
    found = quality(subtracted(), SCIENCE, TEMPLATE)["science_limiting_magnitude"]
    nanojansky_per_jansky = 1e9
    expected = -2.5 * np.log10(limiting_flux(SCIENCE) / nanojansky_per_jansky / 3631)
    assert found == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("flux_scale", FluxScale)
def test_limits_add_in_quadrature(flux_scale):
    difference = subtracted(flux_scale=flux_scale, kernel_sum=0.4)
    found = quality(difference, SCIENCE, TEMPLATE)
    science, template, both = (
        10 ** (-0.4 * found[f"{name}_limiting_magnitude"])
        for name in ("science", "template", "difference")
    )
    assert both == pytest.approx(np.hypot(science, template), rel=1e-6)


def test_limits_are_on_the_scale_of_the_difference():
    dim = quality(subtracted(kernel_sum=0.5), SCIENCE, TEMPLATE)
    plain = quality(subtracted(), SCIENCE, TEMPLATE)
    change = {
        name: plain[f"{name}_limiting_magnitude"] - dim[f"{name}_limiting_magnitude"]
        for name in ("science", "template")
    }
    assert change == pytest.approx({"science": 2.5 * np.log10(2), "template": 0})


def test_an_exposure_without_a_zero_point_has_a_limiting_flux():
    found = quality(subtracted(photometric=False), SCIENCE, TEMPLATE)
    assert found["science_limiting_flux"] == pytest.approx(limiting_flux(SCIENCE))
    assert not any("magnitude" in name for name in found)


def test_widths_are_those_of_the_psfs():
    wide = SCENE.observe(fwhm=5, seed=2)
    found = quality(subtracted(), SCIENCE, wide)
    # the width of pixels of a sampled Gaussian
    assert found["science_psf_fwhm_pixel"] == pytest.approx(FWHM, rel=0.02)
    assert found["template_psf_fwhm_pixel"] == pytest.approx(5, rel=0.02)
    assert found["difference_psf_fwhm_pixel"] == found["science_psf_fwhm_pixel"]


def test_stars_that_are_gone_leave_little():
    found = star_quality(subtracted(), SCIENCE)
    assert found["difference_footprint_ratio_mean"] < 0.05


def test_stars_that_are_left_are_told():
    blurred = SCENE.observe(fwhm=6, noise=NOISE / 2, seed=2)
    bad = star_quality(subtracted(template=blurred), SCIENCE)
    assert bad["difference_footprint_ratio_mean"] > 0.2


def test_the_ratio_is_of_one_flux_scale():
    # the difference of a science image half as bright, on the template's scale
    x, y = SCENE.positions(SCENE.sources[:40])
    whole = subtracted(image=SCIENCE.image)
    half = subtracted(image=SCIENCE.image, kernel_sum=0.5)
    science = replace(SCIENCE, image=SCIENCE.image / 2)
    ratios = [
        footprint_ratio(difference, image, x, y).mean
        for difference, image in ((whole, SCIENCE), (half, science))
    ]
    assert ratios[1] == pytest.approx(ratios[0], rel=1e-3)
    assert ratios[0] == pytest.approx(1, abs=0.1)


def test_masked_stars_do_not_count():
    x, y = np.array([100.0]), np.array([120.0])
    masked = subtracted(mask=np.full(SCIENCE.shape, MaskPlane.SAT, np.int32))
    assert np.isnan(footprint_ratio(masked, SCIENCE, x, y).mean)


def test_stars_of_a_catalogue_are_used():
    bright = max(SCENE.sources, key=lambda s: s.flux * (40 < s.x < 200 > s.y > 40))
    one = StarList(x=[bright.x], y=[bright.y], flux=[1.0], snr=[100.0])
    found = star_quality(subtracted(), replace(SCIENCE, stars=one))
    assert found["difference_footprint_ratio_stdev"] == 0


def test_pixels_that_were_not_measured_are_counted():
    mask = np.zeros(SCIENCE.shape, np.int32)
    mask[10:12, 10:15] = MaskPlane.CR
    mask[0] = MaskPlane.NO_DATA
    image = TEMPLATE.image.copy()
    image[200, 201] = np.nan
    science, template = replace(SCIENCE, mask=mask), replace(TEMPLATE, image=image)
    found = quality(subtracted(mask=mask), science, template)
    assert found["n_interpolated_pixels"] == 11


@pytest.mark.parametrize("shape", [(1, 1), (5, 60), (31, 32)])
def test_small_images_are_survived(shape):
    exposure = Scene(shape=shape).observe(seed=1)
    difference = subtracted(exposure, exposure)
    found = quality(difference, exposure, exposure)
    found |= star_quality(difference, exposure)
    assert np.isfinite(list(found.values())).all()


def test_without_a_usable_pixel_there_is_no_limit():
    mask = np.full(SCIENCE.shape, MaskPlane.NO_DATA, np.int32)
    science = replace(SCIENCE, mask=mask)
    difference = subtracted(mask=mask)
    found = quality(difference, science, science) | star_quality(difference, science)
    assert not any("limiting" in name or "ratio" in name for name in found)


def test_the_noise_ratio_is_the_scatter_over_the_claimed_error():
    assert noise_ratio(subtracted()) == pytest.approx(1, abs=0.02)
    modest = replace(subtracted(), variance=subtracted().variance / 4)
    assert noise_ratio(modest) == pytest.approx(2, abs=0.04)
    assert quality(modest, SCIENCE, TEMPLATE)["difference_noise_ratio"] > 1.9


def test_a_difference_without_usable_pixels_has_no_noise_ratio():
    full = np.full(SCIENCE.shape, MaskPlane.NO_DATA.value, np.int32)
    empty = subtracted(mask=full)
    assert "difference_noise_ratio" not in quality(empty, SCIENCE, TEMPLATE)
