import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdiff.model import Area

SQUARE = Area(((0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0)))


def inside(area, x, y):
    return area is not None and area.beyond(x, y) <= 0


@given(
    corners=st.lists(st.floats(0.1, 6.2), min_size=3, max_size=8, unique=True),
    low=st.tuples(st.floats(-8, 0), st.floats(-8, 0)),
    size=st.tuples(st.floats(1, 12), st.floats(1, 12)),
    x=st.floats(-8, 8),
    y=st.floats(-8, 8),
)
def test_a_part_is_what_lies_in_the_area_and_in_the_box(corners, low, size, x, y):
    angles = np.sort(corners)
    if (np.diff(angles) < 0.05).any():
        return
    area = Area(tuple((5 * float(np.cos(a)), 5 * float(np.sin(a))) for a in angles))
    high = low[0] + size[0], low[1] + size[1]
    room = min(x - low[0], high[0] - x, y - low[1], high[1] - y)
    both = max(area.beyond(x, y), -room)
    if abs(both) < 1e-6:
        return  # on a border
    assert inside(area.within(low, high), x, y) == (both < 0)


@pytest.mark.parametrize("low", [(11, 0), (0, 11), (-20, -20)])
def test_nothing_is_left_of_what_lies_elsewhere(low):
    high = (low[0] + 5, low[1] + 5)
    assert SQUARE.within(low, high) is None


def test_what_lies_in_the_box_is_left_as_it_is():
    assert set(SQUARE.within((-5, -5), (15, 15)).vertices) == set(SQUARE.vertices)


def test_positions_at_once_are_as_far_out_as_one_by_one():
    x, y = np.array([5.0, 12.0, -3.0, 10.0]), np.array([5.0, 5.0, -4.0, 0.1])
    # beside a vertex it is the farthest line that counts
    assert SQUARE.beyond_each(x, y).tolist() == [-5, 2, 4, 0]
    assert [SQUARE.beyond(*place) for place in zip(x, y, strict=True)] == [-5, 2, 4, 0]


def test_vertices_may_be_whole_numbers():
    assert Area(((0, 0), (10, 0), (10, 10), (0, 10))).beyond(12, 5) == 2


def test_a_moved_area_lies_where_it_was_moved_to():
    moved = SQUARE.moved(3, -20)
    assert moved.beyond(8, -15) == SQUARE.beyond(5, 5)
    assert moved.beyond(8, 5) == SQUARE.beyond(5, 25)
