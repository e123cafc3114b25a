import numpy as np
import pytest

from streamdiff.model import DiaObjects, SourceRows
from streamdiff.model.dia_objects import FLOOR_ARCSEC, UNKNOWN_ARCSEC
from streamdiff.model.tangent_plane import moved, offsets_arcsec

N = 300
RNG = np.random.default_rng(5)
ERROR = 0.1 / 3600


def rows(ra, dec, **changes):
    n = len(ra)
    values = {name: np.zeros(n) for name in SourceRows.names()}
    values |= {
        "dia_source_id": np.arange(n),
        "dia_object_id": np.ones(n),
        "midpoint_mjd_tai": 61000 + np.arange(n),
        "band": ["r"] * n,
        "ra": ra,
        "dec": dec,
        "ra_err": ERROR / np.cos(np.radians(dec)),
        "dec_err": np.full(n, ERROR),
    }
    return SourceRows(**(values | changes))


@pytest.mark.parametrize(("ra", "dec"), [(0.0, 0.0), (10.0, -70.0), (200.0, 89.9999)])
def test_the_mean_position_is_within_its_error(ra, dec):
    centre = np.full(N, ra), np.full(N, dec)
    sigma = np.hypot(0.1, FLOOR_ARCSEC)
    scattered = moved(*centre, *RNG.normal(0, sigma, (2, N)))
    found = DiaObjects.of_sources(rows(*scattered))
    east, north = offsets_arcsec(np.array([ra]), np.array([dec]), found.ra, found.dec)
    assert np.sqrt(found.covariance()[0][0]) == pytest.approx(sigma / N**0.5)
    # 5 sigma in two directions: 1e-6 to fail by chance
    assert np.hypot(east, north)[0] < 5 * sigma / N**0.5
    assert found.n_sources.tolist() == [N]
    assert (found.first_mjd[0], found.last_mjd[0]) == (61000, 61000 + N - 1)


def test_adding_sources_is_taking_all_at_once():
    ids = RNG.integers(1, 20, N)
    position = 30 + RNG.normal(0, ERROR, N), -30 + RNG.normal(0, ERROR, N)
    table = rows(*position, dia_object_id=ids, ra_dec_cov=np.full(N, 0.5 * ERROR**2))
    found = DiaObjects.empty()
    for part in np.array_split(np.arange(N), 40):
        found = found.joined_with(DiaObjects.of_sources(table.take(part)))
    expected = DiaObjects.of_sources(table)
    for name, values in expected.columns().items():
        np.testing.assert_allclose(getattr(found, name), values, rtol=1e-11)


def test_a_position_with_small_errors_weighs_more():
    table = rows([10.0, 10.0], [0.0, ERROR], dec_err=np.array([ERROR, ERROR / 1e3]))
    found = DiaObjects.of_sources(table)
    weight = np.array([0.1**2 + FLOOR_ARCSEC**2, FLOOR_ARCSEC**2]) ** -1
    expected = ERROR * weight[1] / weight.sum()
    assert found.dec[0] == pytest.approx(expected, rel=1e-4)


def test_a_position_without_error_is_taken_for_a_poor_one():
    table = rows([10.0], [0.0], ra_err=np.array([np.nan]), dec_err=np.array([np.nan]))
    ee, en, nn = DiaObjects.of_sources(table).covariance()
    assert ee[0] == nn[0] == pytest.approx(UNKNOWN_ARCSEC**2 + FLOOR_ARCSEC**2)
    assert en[0] == 0


def test_offsets_lead_there_and_back():
    ra, dec = RNG.uniform(0, 360, N), np.degrees(np.arcsin(RNG.uniform(-1, 1, N)))
    east, north = RNG.uniform(-30, 30, (2, N))
    there = moved(ra, dec, east, north)
    np.testing.assert_allclose(
        offsets_arcsec(ra, dec, *there), (east, north), atol=1e-8
    )
