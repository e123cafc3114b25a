"""Which image is convolved."""

import pytest

from streamdiff.model import Convolved
from streamdiff.testing import GaussianProfile, Scene
from streamdiff_al.direction import Direction, choose_convolved, mean_fwhm

SCENE = Scene(shape=(64, 64))


def observe(fwhm, ellipticity=0.0):
    profile = GaussianProfile(fwhm=fwhm, ellipticity=ellipticity)
    return SCENE.observe(profile=profile)


@pytest.mark.parametrize(
    ("science", "template", "convolved"),
    [
        (4.0, 3.0, Convolved.TEMPLATE),
        (3.0, 4.0, Convolved.SCIENCE),
        (3.0, 3.0, Convolved.TEMPLATE),
    ],
)
def test_sharper_image_is_convolved(science, template, convolved):
    exposures = observe(science), observe(template)
    assert choose_convolved(Direction.AUTO, *exposures) is convolved


@pytest.mark.parametrize("direction", [Direction.TEMPLATE, Direction.SCIENCE])
def test_direction_can_be_chosen(direction):
    for exposures in [(observe(3), observe(4)), (observe(4), observe(3))]:
        assert choose_convolved(direction, *exposures) is Convolved(direction.value)


def test_width_is_the_mean_over_both_axes():
    round_width = mean_fwhm(observe(4.0).psf, SCENE.shape)
    long_width = mean_fwhm(observe(4.0, ellipticity=0.3).psf, SCENE.shape)
    assert long_width == pytest.approx(round_width, rel=0.01)
