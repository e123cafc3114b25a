import numpy as np
import pytest

from streamdiff.model.ephemerides import Ephemerides
from streamdiff.model.tangent_plane import offsets_arcsec


def table(*paths, error=0.1):
    """Return the table of objects, each given as id, times, ra and dec."""
    parts = [
        Ephemerides(
            ss_object_id=np.full(len(t), i),
            mjd_tai=t,
            ra=ra,
            dec=dec,
            error=np.full(len(t), error),
        )
        for i, t, ra, dec in paths
    ]
    return Ephemerides.joined(parts)


def curved(times):
    """Return a path that crosses RA 0, as quickly bent as a near-Earth object's."""
    phase = times - 61000
    return (0.02 * phase + 0.3 * np.sin(phase / 3)) % 360, 20 + 0.5 * np.cos(phase / 4)


def test_positions_between_the_times_are_on_the_path():
    times = np.arange(61000.0, 61006, 0.25)
    found = table((7, times, *curved(times))).at(61002.6)
    expected = curved(np.array([61002.6]))
    east, north = offsets_arcsec(found.ra, found.dec, *expected)
    # the fourth derivative of 0.3 deg sin(t / 3 d): 13.3 arcsec / d^4; a cubic through
    # four points 0.25 d apart is off by at most 9/16 of it times (0.25 d)^4 / 24
    assert np.hypot(east, north)[0] < 13.3 * 2 * 9 / 16 * 0.25**4 / 24
    assert found.dia_object_id.tolist() == [7]
    assert np.sqrt(found.covariance()[0][0]) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("mjd", "expected"), [(0.9, []), (1.0, [3]), (2.5, [3, 4]), (3.5, [4]), (9.0, [])]
)
def test_only_objects_whose_table_reaches_the_time_are_there(mjd, expected):
    slow, fast = np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 4.0, 5.0, 6.0])
    paths = table((3, slow, slow, slow), (4, fast, fast, fast))
    assert paths.at(mjd).dia_object_id.tolist() == expected


@pytest.mark.parametrize("n", [2, 3, 4, 9])
def test_a_straight_path_is_found_from_few_points(n):
    times = np.linspace(0, 1, n)
    found = table((1, times, 10 + 1e-3 * times, 1e-3 * times)).at(0.37)
    assert found.ra[0] == pytest.approx(10 + 0.37e-3, abs=1e-10)
    assert found.dec[0] == pytest.approx(0.37e-3, abs=1e-10)


@pytest.mark.parametrize("mjd", [61000.01, 61002.6, 61005.7])
def test_rates_are_those_of_the_path(mjd):
    times = np.arange(61000.0, 61006, 0.25)
    east, north = table((7, times, *curved(times))).rates(mjd)
    step = 0.001
    (ra, dec), (after_ra, after_dec) = (
        curved(np.array([mjd + sign * step])) for sign in (-1, 1)
    )
    expected = np.array(offsets_arcsec(ra, dec, after_ra, after_dec)) / 3600 / 2 / step
    # the fourth derivative of the path, as above, times (0.25 d)^3 at most
    assert np.hypot(east - expected[0], north - expected[1]) < 13.3 / 3600 * 0.25**3


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_rates_are_found_from_few_points(n):
    times = np.linspace(0, 1, n)
    east, north = table((1, times, 10 + 1e-3 * times, 2e-3 * times)).rates(0.0)
    expected = (1e-3, 2e-3) if n > 1 else (0, 0)
    assert (east[0], north[0]) == pytest.approx(expected, abs=1e-9)


def test_nothing_is_nowhere():
    assert len(Ephemerides.empty().at(61000.0)) == 0
    assert [len(rate) for rate in Ephemerides.empty().rates(61000.0)] == [0, 0]
