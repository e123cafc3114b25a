"""Exposures prepared for convolution."""

from dataclasses import replace

import numpy as np
import pytest

from streamdiff.model import MaskPlane
from streamdiff.testing import PointSource, Scene
from streamdiff_al.pixels import Pixels

NOISE = 10.0
SKY = Scene(sources=(PointSource(30, 40, 3e4),), shape=(64, 96))
EXPOSURE = SKY.observe(noise=NOISE, seed=1)
SPOT = np.s_[20:23, 50:54]


def with_plane(name, value):
    plane = getattr(EXPOSURE, name).copy()
    plane[SPOT] = value
    return Pixels.of(replace(EXPOSURE, **{name: plane})).filled()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image", np.nan),
        ("image", -np.inf),
        ("image", 1e30),
        ("image", -1e12),
        ("variance", np.nan),
        ("variance", np.inf),
        ("variance", 0.0),
        ("variance", -1.0),
        ("variance", 1e30),
        ("variance", 1e10),
    ],
)
def test_pixels_that_are_not_of_this_world_are_no_data(name, value):
    pixels = with_plane(name, value)
    assert pixels.no_data[SPOT].all()
    assert np.count_nonzero(pixels.no_data) == 12
    assert not pixels.usable[SPOT].any()
    assert np.abs(pixels.image).max() < 1e4
    assert pixels.variance.max() == pytest.approx(NOISE**2)


@pytest.mark.parametrize(
    ("name", "value"), [("image", 1e8), ("variance", 1e6 * NOISE**2)]
)
def test_bright_and_noisy_pixels_are_data(name, value):
    pixels = with_plane(name, value)
    assert pixels.usable.all()
    assert getattr(pixels, name)[SPOT] == pytest.approx(value)


@pytest.mark.parametrize("unit", [1e-15, 1e15])
def test_unit_of_the_image_does_not_matter(unit):
    scaled = replace(
        EXPOSURE,
        image=EXPOSURE.image * np.float32(unit),
        variance=EXPOSURE.variance * np.float32(unit) ** 2,
    )
    assert Pixels.of(scaled).usable.all()


def test_saturated_pixels_are_not_lowered():
    mask, image = EXPOSURE.mask.copy(), EXPOSURE.image.copy()
    image[SPOT] = 5e4
    mask[SPOT] = int(MaskPlane.SAT)
    pixels = Pixels.of(replace(EXPOSURE, image=image, mask=mask)).filled()
    assert (pixels.image[SPOT] == 5e4).all()
    assert pixels.saturated[SPOT].all()
    assert not pixels.usable[SPOT].any()


def test_exposure_without_usable_pixels_has_no_data():
    nothing = np.full(EXPOSURE.shape, np.nan, np.float32)
    assert Pixels.of(replace(EXPOSURE, variance=nothing)).no_data.all()
