"""Which image is convolved."""

from dataclasses import replace

import numpy as np
import pytest

from streamdiff.errors import InvalidExposureError
from streamdiff.model import ConstantPsf
from streamdiff.testing import GaussianProfile, MoffatProfile, Scene, VaryingProfile
from streamdiff_al.direction import Direction, choose_direction, science_kernel

SCENE = Scene(shape=(64, 96))


def observe(fwhm, ellipticity=0.0, angle=0.0):
    profile = GaussianProfile(fwhm=fwhm, ellipticity=ellipticity, angle=angle)
    return SCENE.observe(profile=profile)


def chosen(science, template):
    return choose_direction(Direction.AUTO, science, template)


def test_sharper_image_is_convolved():
    assert chosen(observe(4.0), observe(3.0)) is Direction.TEMPLATE
    assert chosen(observe(3.0), observe(4.0)) is Direction.SCIENCE


@pytest.mark.parametrize("ratio", [1.0, 0.97, 1.03])
def test_both_are_convolved_where_widths_are_about_equal(ratio):
    assert chosen(observe(4.0 * ratio), observe(4.0)) is Direction.COMMON


def test_both_are_convolved_where_each_is_wider_along_an_axis():
    assert chosen(observe(4.0, 0.2), observe(4.0, 0.2, 90)) is Direction.COMMON
    # The wider one in the mean, but not along the other's long axis.
    assert chosen(observe(4.3, 0.2), observe(4.0, 0.2, 90)) is Direction.COMMON


def test_both_are_convolved_where_each_is_wider_in_a_part_of_the_image():
    # 15 % wider on the right, and as much narrower on the left.
    profile = VaryingProfile(middle=MoffatProfile(fwhm=4.0), fwhm_slope=(0.15, 0))
    varying = SCENE.observe(profile=profile)
    constant = SCENE.observe(profile=MoffatProfile(fwhm=4.0))
    assert chosen(varying, constant) is Direction.COMMON
    assert chosen(constant, varying) is Direction.COMMON


def test_elongation_alone_does_not_matter_to_a_psf_that_is_wide_enough():
    assert chosen(observe(5.0), observe(4.0, 0.2)) is Direction.TEMPLATE


@pytest.mark.parametrize("direction", [d for d in Direction if d is not Direction.AUTO])
def test_direction_can_be_chosen(direction):
    for exposures in [(observe(3), observe(4)), (observe(4), observe(3))]:
        assert choose_direction(direction, *exposures) is direction


@pytest.mark.parametrize("direction", [Direction.TEMPLATE, Direction.SCIENCE])
def test_one_image_is_left_as_it_is(direction):
    assert science_kernel(direction, observe(3), observe(4)) is None


def test_science_image_is_smoothed_no_more_than_it_needs():
    # From 3 to 4 px, and 0.7 px more for the template's own kernel.
    kernel = science_kernel(Direction.COMMON, observe(3.0), observe(4.0))
    offset = np.arange(kernel.shape[0]) - kernel.shape[0] // 2
    expected = (4.0**2 - 3.0**2) / (8 * np.log(2)) + 0.7**2
    assert kernel.sum() == pytest.approx(1)
    assert np.square(offset) @ kernel.sum(axis=0) == pytest.approx(expected, rel=0.02)


def test_science_image_that_contains_the_template_is_not_smoothed():
    kernel = science_kernel(Direction.COMMON, observe(5.0), observe(3.0))
    assert kernel[kernel.shape[0] // 2, kernel.shape[1] // 2] == pytest.approx(1)


def test_preconvolution_is_a_correlation_with_the_psf():
    lopsided = ConstantPsf(np.arange(1.0, 36).reshape(5, 7))
    science = replace(observe(4.0), psf=lopsided)
    kernel = science_kernel(Direction.PRECONVOLVE, science, observe(3.0))
    assert kernel == pytest.approx(lopsided.stamp[::-1, ::-1])


@pytest.mark.parametrize("direction", [Direction.AUTO, Direction.COMMON])
def test_psf_has_to_be_known(direction):
    science = SCENE.observe(psf="unknown")
    with pytest.raises(InvalidExposureError, match="PSF"):
        science_kernel(
            choose_direction(direction, science, observe(3)), science, observe(3)
        )
