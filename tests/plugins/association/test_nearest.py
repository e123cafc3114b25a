import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from streamdiff.model import NO_OBJECT, Column, DiaObjects, DiaSources
from streamdiff.stages import NEW_OBJECT
from streamdiff_association.nearest import Nearest

COLUMNS = tuple(
    Column(name, "f8", "deg", "") for name in ("ra", "dec", "raErr", "decErr")
)
ID = Column("diaSourceId", "i8", "", "")
SIGMA = 0.1


def sources(east, north, *, ids=None, error=SIGMA, dec=0.0, **flags):
    """Return DiaSources at offsets from (10, dec) [arcsec]."""
    n, shrink = len(east), np.cos(np.radians(dec))
    values = {
        "diaSourceId": np.arange(n) + 100 if ids is None else ids,
        "ra": 10 + np.asarray(east) / 3600 / shrink,
        "dec": dec + np.asarray(north) / 3600,
        "raErr": np.full(n, error / 3600 / shrink),
        "decErr": np.full(n, error / 3600),
    }
    columns = [ID, *COLUMNS, *(Column(name, "?", "", "") for name in flags)]
    return DiaSources(tuple(columns), values | flags)


def objects(east, north, *, ids=None, error=SIGMA, dec=0.0):
    n = len(east)
    weight = np.broadcast_to(np.asarray(error) ** -2.0, n)
    return DiaObjects(
        dia_object_id=np.arange(n) + 1 if ids is None else ids,
        ra=10 + np.asarray(east) / 3600 / np.cos(np.radians(dec)),
        dec=dec + np.asarray(north) / 3600,
        weight_ee=weight,
        weight_en=np.zeros(n),
        weight_nn=weight,
        n_sources=np.ones(n),
        first_mjd=np.ones(n),
        last_mjd=np.ones(n),
    )


def associate(here, there, **options):
    return Nearest(**options).associate(here, there).tolist()


def test_a_source_joins_the_object_beside_it_or_begins_one():
    here, there = sources([0.2, 30.0], [0.1, 0.0]), objects([0.0, -20.0], [0.0, 0.0])
    assert associate(here, there) == [1, NEW_OBJECT]


@pytest.mark.parametrize("dec", [0.0, -89.0])
@pytest.mark.parametrize(("distance", "joins"), [(0.99, True), (1.01, False)])
def test_the_radius_is_the_same_all_over_the_sky(dec, distance, joins):
    for east, north in ((distance, 0.0), (0.0, distance)):
        here = sources([east], [north], error=1.0, dec=dec)
        found = associate(here, objects([0.0], [0.0], dec=dec))
        assert found == [1 if joins else NEW_OBJECT]


def test_well_known_positions_must_agree_better():
    # 0.8 arcsec are 8 sigma of a faint source, and 11 of a bright one: the floor of
    # 0.05 arcsec counts for the source alone
    sigma = 0.8 / np.hypot(0.05, 0.05)
    assert sigma > 10
    there = objects([0.0], [0.0], error=0.05)
    assert associate(sources([0.8], [0.0], error=1e-4), there) == [NEW_OBJECT]
    assert associate(sources([0.8], [0.0], error=0.1), there) == [1]


def test_an_object_gets_one_source_and_that_makes_the_sum_smallest():
    # The first source is nearer to the object of the second: greedy would take that.
    here, there = sources([0.0, 0.5], [0.0, 0.0]), objects([-0.4, 0.2], [0.0, 0.0])
    assert associate(here, there) == [1, 2]


def test_both_of_two_sources_do_not_join_one_object():
    here, there = sources([0.1, 0.2], [0.0, 0.0]), objects([0.0], [0.0])
    assert associate(here, there) == [1, NEW_OBJECT]


def test_a_crowd_is_solved_as_by_a_full_table():
    rng = np.random.default_rng(8)
    n, m = 60, 80
    here, there = rng.uniform(0, 6, (2, n)), rng.uniform(0, 6, (2, m))
    found = associate(sources(*here, error=0.3), objects(*there, error=0.3))
    distance = np.hypot(*(here[:, :, np.newaxis] - there[:, np.newaxis, :]))
    cost = distance**2 / (2 * 0.3**2 + 0.05**2)
    cost[(distance > 1) | (cost > 100)] = 1e9
    both = np.hstack([cost, np.where(np.eye(n, dtype=bool), 100.0, 1e9)])
    columns = linear_sum_assignment(both)[1]
    expected = [j + 1 if j < m else NEW_OBJECT for j in columns.tolist()]
    assert found == expected


def test_the_order_of_the_rows_does_not_matter():
    rng = np.random.default_rng(9)
    here, there = rng.uniform(0, 5, (2, 40)), np.round(rng.uniform(0, 5, (2, 50)), 1)
    by_id = associate(sources(*here, ids=np.arange(40)), objects(*there))
    mixed, other = rng.permutation(40), rng.permutation(50)
    again = associate(
        sources(*here[:, mixed], ids=mixed), objects(*there[:, other], ids=other + 1)
    )
    assert again == [by_id[i] for i in mixed.tolist()]


def test_what_fades_joins_as_what_brightens_does():
    here = sources([0.1], [0.0], isNegative=np.array([True]))
    assert associate(here, objects([0.0], [0.0])) == [1]


def test_dipoles_begin_no_object_if_told_so():
    here = sources([0.1, 9.0, 20.0], [0.0] * 3, isDipole=np.array([True, True, False]))
    there = objects([0.0], [0.0])
    assert associate(here, there) == [1, NEW_OBJECT, NEW_OBJECT]
    assert associate(here, there, new_from_dipoles=False) == [1, NO_OBJECT, NEW_OBJECT]


def test_errors_that_are_not_known_are_taken_for_large_ones():
    here = sources([0.9], [0.0], error=np.nan)
    assert associate(here, objects([0.0], [0.0])) == [1]


def test_nothing_is_associated_with_nothing():
    assert associate(sources([], []), objects([], [])) == []
    assert associate(sources([], []), objects([0.0], [0.0])) == []
    assert associate(sources([0.0], [0.0]), objects([], [])) == [NEW_OBJECT]
