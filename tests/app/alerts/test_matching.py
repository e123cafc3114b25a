import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from streamdiff.app.alerts.matching import ARCSEC, nearest_pairs

OFFSETS = st.lists(
    st.tuples(st.floats(-3, 3), st.floats(-3, 3)), max_size=12
)  # arcsec from one point of the sky


def on_the_sky(offsets):
    """Return unit vectors near (1, 0, 0)."""
    y, z = np.array(offsets, float).reshape(-1, 2).T * ARCSEC
    return np.stack([np.sqrt(1 - y**2 - z**2), y, z], axis=1)


def separations(a, b):
    return np.linalg.norm(a[:, np.newaxis] - b, axis=2) / ARCSEC


@given(a=OFFSETS, b=OFFSETS, radius=st.floats(0.1, 3))
def test_matches_are_one_to_one_within_the_radius_and_stable(a, b, radius):
    """No two that are left, or badly matched, are near each other.

    It is the definition of nearest first: a pair that was not taken has a member
    that was taken by a pair at most as wide.
    """
    a, b = on_the_sky(a), on_the_sky(b)
    rows_a, rows_b = nearest_pairs(a, b, radius)
    assert len(set(rows_a.tolist())) == len(set(rows_b.tolist())) == len(rows_a)
    distances = separations(a, b)
    rounding = 1e-9  # arcsec: that of unit vectors in double precision is 5e-11
    assert (distances[rows_a, rows_b] <= radius + rounding).all()
    width_a = dict(zip(rows_a.tolist(), distances[rows_a, rows_b], strict=True))
    width_b = dict(zip(rows_b.tolist(), distances[rows_a, rows_b], strict=True))
    for i, j in np.argwhere(distances < radius - rounding).tolist():
        taken = min(width_a.get(i, np.inf), width_b.get(j, np.inf))
        assert taken <= distances[i, j] + rounding


def test_positions_that_are_the_same_match():
    a = on_the_sky([(0, 0), (0, 0), (1, 1)])
    rows_a, rows_b = nearest_pairs(a, a, 0.5)
    assert_array_equal(rows_a, [0, 1, 2])
    assert_array_equal(rows_b, [0, 1, 2])


def test_a_pole_is_a_place_like_any_other():
    """Right ascensions 180 degrees apart, yet 0.2 arcsec from each other."""
    tilt = 0.1 * ARCSEC
    a, b = (np.array([[s * np.sin(tilt), 0, np.cos(tilt)]]) for s in (1, -1))
    assert len(nearest_pairs(a, b, 0.3)[0]) == 1
    assert len(nearest_pairs(a, b, 0.1)[0]) == 0
