"""Holes of images, and what is filled in."""

from dataclasses import replace

import numpy as np
import pytest

from streamdiff.model import MaskPlane
from streamdiff.testing import PointSource, Scene
from streamdiff_zogy.pixels import Holes, PixelPair, doubtful

SHAPE = (60, 70)
SKY = Scene(shape=SHAPE)
MARGIN = 12
INSIDE = np.s_[MARGIN:-MARGIN, MARGIN:-MARGIN]


def pair(sky=SKY):
    return sky.observe(noise=10, seed=1), sky.observe(noise=5, seed=2)


def with_pixel(exposure, plane, value):
    pixels = getattr(exposure, plane).copy()
    pixels[20, 30] = value
    return replace(exposure, **{plane: pixels})


@pytest.mark.parametrize(
    ("plane", "value", "no_data"),
    [
        ("image", np.nan, True),
        ("image", -np.inf, True),
        ("image", 1e20, True),
        ("variance", np.nan, True),
        ("variance", np.inf, True),
        ("variance", 0, False),
        ("variance", -1, False),
        ("mask", int(MaskPlane.NO_DATA), True),
        ("mask", int(MaskPlane.CR), False),
        ("mask", int(MaskPlane.SAT), False),
    ],
)
def test_a_hole_in_one_image_is_one_in_both(plane, value, no_data):
    science, template = pair()
    for exposures in (
        (with_pixel(science, plane, value), template),
        (science, with_pixel(template, plane, value)),
    ):
        holes = Holes.of(*exposures)
        assert np.argwhere(holes.unusable).tolist() == [[20, 30]]
        assert holes.no_data[20, 30] == no_data
        is_core = value == MaskPlane.SAT
        assert np.transpose(holes.saturated).tolist() == [[20, 30]] * is_core


@pytest.mark.parametrize("plane", [MaskPlane.EDGE, MaskPlane.DETECTED])
def test_other_planes_make_no_holes(plane):
    science, template = pair()
    holes = Holes.of(with_pixel(science, "mask", int(plane)), template)
    assert not holes.unusable.any()


def test_good_pixels_stay_as_they_are():
    science, template = pair()
    science = with_pixel(science, "image", np.nan)
    holes = Holes.of(science, template)
    pixels = PixelPair.of(science, template, holes, MARGIN)
    good = ~holes.unusable
    assert np.array_equal(pixels.science.image[INSIDE][good], science.image[good])
    assert np.array_equal(pixels.template.power[INSIDE], template.variance)


def test_what_is_beyond_the_border_has_the_noise_of_the_image():
    science, template = pair()
    pixels = PixelPair.of(science, template, Holes.of(science, template), MARGIN)
    beyond = np.ones(pixels.science.image.shape, bool)
    beyond[INSIDE] = False
    # 3,700 pixels know it to 1.2 %; a seventh of the image's own noise is in it.
    assert pixels.science.image[beyond].std() == pytest.approx(10, rel=0.06)
    assert pixels.template.image[beyond].std() == pytest.approx(5, rel=0.06)


def test_light_that_is_filled_in_is_doubted_and_blank_sky_is_not():
    science, template = pair(SKY.add(PointSource(30, 20, 3e4)))
    mask = science.mask.copy()
    mask[18:23, 28:33] |= MaskPlane.SAT
    mask[40:45, 28:33] |= MaskPlane.BAD
    science = replace(science, mask=mask)
    pixels = PixelPair.of(science, template, Holes.of(science, template), MARGIN)
    doubt = doubtful(pixels.science.image, pixels.doubt)[INSIDE]
    rim = science.image[17, 30]
    assert doubt[20, 30] > rim
    assert not doubt[40:45, 28:33].any()
    assert not doubt[mask == 0].any()
