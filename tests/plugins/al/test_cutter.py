"""Candidates cut out of two images."""

from dataclasses import fields, replace

import numpy as np
import pytest

from streamdiff.model import MaskPlane
from streamdiff_al.basis import alard_lupton_basis
from streamdiff_al.cutter import Cutter
from streamdiff_al.pixels import Pixels

SIDE, HALF = 80, 9
BASIS = alard_lupton_basis(9, (0.7, 1.5), (2, 1))
PLACES = [(20, 30), (41.3, 38.8), (60, 60)]
MIDDLE = (40, 40)


def pixels(seed):
    rng = np.random.default_rng(seed)
    image = rng.normal(size=(SIDE, SIDE)).astype(np.float32)
    return Pixels(
        image=image,
        variance=rng.uniform(1, 2, image.shape).astype(np.float32),
        mask=np.zeros(image.shape, np.int32),
        usable=np.ones(image.shape, bool),
        saturated=np.zeros(image.shape, bool),
        no_data=np.zeros(image.shape, bool),
    )


def with_spot(pixels, **spots):
    """Return pixels with another value of some planes in the middle."""
    planes = {name: getattr(pixels, name).copy() for name in spots}
    for name, value in spots.items():
        planes[name][MIDDLE] = value
    return replace(pixels, **planes)


def cutter(target, source):
    return Cutter.of(
        target, source, BASIS, half=HALF, order=2, bad=MaskPlane.HIGH_VARIANCE
    )


def test_several_candidates_are_cut_as_each_of_them():
    target = with_spot(pixels(1), usable=False)
    source = with_spot(pixels(2), usable=False, saturated=True)
    several = cutter(target, source).cut(*np.transpose(PLACES))
    for row, place in enumerate(PLACES):
        one = cutter(target, source).cut(*place)
        for f in fields(one):
            expected = pytest.approx(getattr(one, f.name), abs=1e-12)
            assert getattr(several.take(row), f.name) == expected, f.name


@pytest.mark.parametrize(
    ("name", "spot", "radius"),
    [
        ("target", {"usable": False}, 0),
        ("target", {"mask": int(MaskPlane.HIGH_VARIANCE)}, 0),
        ("target", {"mask": int(MaskPlane.SUSPECT)}, None),
        ("source", {"usable": False}, 2),
        ("source", {"mask": int(MaskPlane.HIGH_VARIANCE)}, 2),
        # A quarter of the side of the kernel.
        ("source", {"usable": False, "saturated": True}, 2.25),
    ],
)
def test_spoilt_pixels_spoil_their_surroundings(name, spot, radius):
    pair = {"target": pixels(1), "source": pixels(2)}
    pair[name] = with_spot(pair[name], **spot)
    usable = cutter(**pair).cut(MIDDLE[1] + 3, MIDDLE[0] - 2).usable
    y, x = np.indices(usable.shape) - HALF
    distance = np.hypot(x + 3, y - 2)
    spoilt = np.zeros_like(usable) if radius is None else distance <= radius
    assert (usable == ~spoilt).all()


def test_spoilt_pixels_beside_the_square_reach_into_it():
    source = with_spot(pixels(2), usable=False)
    usable = cutter(pixels(1), source).cut(MIDDLE[1] + HALF + 2, MIDDLE[0]).usable
    assert np.argwhere(~usable).tolist() == [[HALF, 0]]
