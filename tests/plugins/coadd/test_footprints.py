import numpy as np
import pytest
from scipy import ndimage

from streamdiff_coadd.footprints import Footprints

EIGHT = np.ones((3, 3), int)


@pytest.mark.parametrize("fraction", [0.0, 0.05, 0.3, 0.6, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (40, 31)])
def test_they_are_those_of_a_labelled_plane(shape, fraction):
    plane = np.random.default_rng(3).random(shape) < fraction
    footprints = Footprints.of(plane)
    expected, n = ndimage.label(plane, EIGHT)
    assert footprints.n == n
    pairs = set(zip(footprints.labels, expected.flat[footprints.pixels], strict=True))
    assert len(pairs) == n


def test_those_without_a_seed_are_left_out():
    plane = np.zeros((10, 10), bool)
    plane[1, 1:4] = plane[5, 5:8] = plane[9, 9] = True
    seeds = np.zeros_like(plane)
    seeds[5, 6] = seeds[9, 9] = True
    kept = Footprints.of(plane).with_any(seeds)
    assert kept.n == 2
    assert kept.pixels.tolist() == [55, 56, 57, 99]
    assert kept.mean(np.array([1, 2, 6, 5])).tolist() == [3, 5]
