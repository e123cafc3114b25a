from dataclasses import replace

import pytest

from streamdiff.errors import SubtractionError
from streamdiff.imaging.comparable import check_comparable, no_common_pixel
from streamdiff.model import Reason
from streamdiff.testing import Scene

SCIENCE = Scene(shape=(32, 32)).observe(band="r")


def in_band(band):
    return replace(SCIENCE, id=replace(SCIENCE.id, band=band))


@pytest.mark.parametrize("shape", [(31, 32), (64, 16), (33, 33)])
def test_images_of_different_shapes_are_refused(shape):
    with pytest.raises(SubtractionError, match="differ in shape: warp"):
        check_comparable(SCIENCE, Scene(shape=shape).observe(band="r"))


def test_images_of_different_bands_are_refused():
    with pytest.raises(SubtractionError, match=r"'r'.*'g'.*differ in band"):
        check_comparable(SCIENCE, in_band("g"))


@pytest.mark.parametrize("band", ["r", "unknown"])
def test_images_that_may_be_of_one_band_are_not_refused(band):
    check_comparable(SCIENCE, in_band(band))
    check_comparable(in_band(band), SCIENCE)


def test_nothing_in_common_is_an_outcome():
    skip = no_common_pixel(SCIENCE)
    assert skip.reason is Reason.NO_VALID_PIXELS
    assert str(SCIENCE.id) in skip.detail
