import numpy as np

from streamdiff.imaging.places import places, places_in, with_plane, with_value
from streamdiff.model import MaskPlane

PLANE = np.random.default_rng(1).random((7, 5)) > 0.7
NOWHERE = np.zeros_like(PLANE)


def test_places_are_those_of_numpy():
    for plane in (PLANE, NOWHERE, PLANE.T, PLANE[:, :0]):
        np.testing.assert_array_equal(places(plane), np.nonzero(plane))


def test_bits_of_a_mask_are_found_in_short_and_long_rows():
    rng = np.random.default_rng(2)
    for shape in ((7, 5), (40, 300), (3, 0)):
        mask = (1 << rng.integers(0, 9, shape)).astype(np.int32)
        mask[: len(mask) // 2] = 1  # runs without any
        for bits in (MaskPlane.SAT, MaskPlane.SAT | MaskPlane.NO_DATA, MaskPlane.EDGE):
            expected = np.nonzero(bits.in_mask(mask))
            np.testing.assert_array_equal(places_in(mask, bits), expected)


def test_values_and_planes_are_set_there_alone():
    image, mask = np.ones(PLANE.shape, np.float32), np.full(PLANE.shape, 1, np.int32)
    np.testing.assert_array_equal(with_value(image, places(PLANE), 0), ~PLANE)
    marked = with_plane(mask, places(PLANE), MaskPlane.CR)
    np.testing.assert_array_equal(MaskPlane.CR.in_mask(marked), PLANE)
    assert (marked & 1).all()
    # What came in is as it was.
    assert (image == 1).all()
    assert (mask == 1).all()


def test_what_is_changed_nowhere_is_not_copied():
    image, mask = np.ones(PLANE.shape, np.float32), np.zeros(PLANE.shape, np.int32)
    assert with_value(image, places(NOWHERE), 0) is image
    assert with_plane(mask, places(NOWHERE), MaskPlane.CR) is mask
