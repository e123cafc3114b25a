import numpy as np

from streamdiff.imaging.places import places, with_plane, with_value
from streamdiff.model import MaskPlane

PLANE = np.random.default_rng(1).random((7, 5)) > 0.7
NOWHERE = np.zeros_like(PLANE)


def test_places_are_those_of_numpy():
    for plane in (PLANE, NOWHERE, PLANE.T, PLANE[:, :0]):
        np.testing.assert_array_equal(places(plane), np.nonzero(plane))


def test_values_and_planes_are_set_there_alone():
    image, mask = np.ones(PLANE.shape, np.float32), np.full(PLANE.shape, 1, np.int32)
    np.testing.assert_array_equal(with_value(image, PLANE, 0), ~PLANE)
    marked = with_plane(mask, PLANE, MaskPlane.CR)
    np.testing.assert_array_equal(MaskPlane.CR.in_mask(marked), PLANE)
    assert (marked & 1).all()
    # What came in is as it was.
    assert (image == 1).all()
    assert (mask == 1).all()


def test_what_is_changed_nowhere_is_not_copied():
    image, mask = np.ones(PLANE.shape, np.float32), np.zeros(PLANE.shape, np.int32)
    assert with_value(image, NOWHERE, 0) is image
    assert with_plane(mask, NOWHERE, MaskPlane.CR) is mask
