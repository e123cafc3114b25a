"""What is no measurement is taken out of planes."""

from dataclasses import replace

import numpy as np
import pytest

from streamdiff.imaging.finite_planes import finite_planes
from streamdiff.model import MaskPlane
from streamdiff.testing import Scene

EXPOSURE = Scene(shape=(16, 24)).observe(noise=10, seed=1)
BAD = MaskPlane.SAT | MaskPlane.NO_DATA
SPOT = (3, 5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("image", v) for v in (np.nan, np.inf, -np.inf)),
        *(("variance", v) for v in (np.nan, np.inf, -np.inf, 0.0, -1.0)),
        ("mask", int(MaskPlane.NO_DATA | MaskPlane.CR)),
    ],
)
def test_pixels_without_data_are_blank(name, value):
    plane = getattr(EXPOSURE, name).copy()
    plane[SPOT] = value
    image, variance, unusable = finite_planes(replace(EXPOSURE, **{name: plane}), BAD)
    assert np.argwhere(unusable).tolist() == [list(SPOT)]
    assert (image[SPOT], variance[SPOT]) == (0, 1)
    assert (image[~unusable] == EXPOSURE.image[~unusable]).all()
    assert (variance[~unusable] == EXPOSURE.variance[~unusable]).all()


def test_pixels_of_other_planes_are_kept():
    mask = np.full(EXPOSURE.shape, int(MaskPlane.CR), np.int32)
    image, _, unusable = finite_planes(replace(EXPOSURE, mask=mask), BAD)
    assert not unusable.any()
    assert (image == EXPOSURE.image).all()
