import numpy as np
import pytest

from streamdiff.imaging.outline import convex_hull, count_areas
from streamdiff.model import Area


def turned_square(shape, side, angle):
    """Return the pixels of a square around the middle of an image."""
    rows, columns = np.indices(shape)
    y, x = rows - shape[0] / 2, columns - shape[1] / 2
    cos, sin = np.cos(angle), np.sin(angle)
    return np.maximum(np.abs(x * cos + y * sin), np.abs(y * cos - x * sin)) <= side / 2


@pytest.mark.parametrize("angle", [0.0, 0.01, 0.3, np.pi / 4])
def test_the_hull_of_a_turned_square_is_that_square(angle):
    plane = turned_square((200, 220), 120, angle)
    area = convex_hull(plane)
    assert len(area.vertices) <= 40
    differs = (count_areas([area], plane.shape) > 0) != plane
    # Of its sides, 480 pixels long in all, a tenth passes that near to a centre.
    assert differs.sum() < 0.1 * 480


def test_every_pixel_of_the_set_lies_in_the_hull():
    plane = np.random.default_rng(1).random((40, 50)) < 0.01
    area = convex_hull(plane)
    for y, x in np.argwhere(plane):
        assert area.beyond(x, y) < 0


def test_one_pixel_has_a_hull_around_it():
    area = convex_hull(np.ones((1, 1), bool))
    assert area.beyond(0, 0) < 0
    assert area.beyond(0.1, 0) > 0


def test_there_is_no_hull_around_nothing():
    assert convex_hull(np.zeros((5, 5), bool)) is None


def test_pixels_are_counted_in_every_area_that_holds_them():
    left = Area(((-9, -9), (4.5, -9), (4.5, 99), (-9, 99)))
    right = Area(((2.5, -9), (99, -9), (99, 2.5), (2.5, 2.5)))
    counts = count_areas([left, right], (5, 7))
    np.testing.assert_array_equal(counts[0], [1, 1, 1, 2, 2, 1, 1])
    np.testing.assert_array_equal(counts[4], [1, 1, 1, 1, 1, 0, 0])
