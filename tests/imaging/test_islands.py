import numpy as np
import pytest
from scipy import ndimage

from streamdiff.imaging.islands import Islands
from streamdiff.imaging.places import places


@pytest.mark.parametrize("share", [0.0, 0.05, 0.4, 0.6, 1.0])
@pytest.mark.parametrize("corners", [True, False])
def test_islands_are_those_of_scipy(share, corners):
    plane = np.random.default_rng(1).random((60, 45)) < share
    found = Islands.of(places(plane), corners=corners)
    labels, count = ndimage.label(plane, np.ones((3, 3)) if corners else None)
    assert found.count == count
    assert (plane[found.row, found.column]).all()
    assert len(found) == plane.sum()
    # Of each pair of pixels, both tell whether they are on one island.
    pairs = np.unique(np.stack([found.number, labels[plane]]), axis=1)
    assert pairs.shape[1] == count
    assert found.sizes.tolist() == np.bincount(found.number).tolist()


def test_what_meets_late_is_one_island():
    comb = np.zeros((9, 21), bool)
    comb[:, ::2] = True
    assert Islands.of(places(comb)).count == 11
    comb[-1] = True
    found = Islands.of(places(comb))
    assert found.count == 1
    assert found.sizes.tolist() == [comb.sum()]


def test_places_tell_their_islands():
    plane = np.zeros((9, 9), bool)
    assert Islands.of(places(plane)).at(np.array([3]), np.array([4])).tolist() == [-1]
    plane[[0, 1, 2, 5, 7], [0, 1, 1, 5, 7]] = True
    found = Islands.of(places(plane))
    row, column = np.array([1, 5, 5, 8]), np.array([1, 5, 6, 8])
    assert found.at(row, column).tolist() == [0, 1, -1, -1]
