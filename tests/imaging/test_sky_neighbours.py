import numpy as np
import pytest
from astropy.coordinates import SkyCoord

from streamdiff.imaging.sky_neighbours import neighbours

RNG = np.random.default_rng(4)


@pytest.mark.parametrize("dec", [0.0, 89.99])
def test_all_pairs_within_the_radius_are_found_and_no_others(dec):
    n, m, radius = 60, 80, 8.0
    ra = (RNG.normal(0, 5 / 3600, n + m) / np.cos(np.radians(dec))) % 360
    lat = np.minimum(dec + RNG.normal(0, 5 / 3600, n + m), 90)
    here, there = np.arange(n), np.arange(n, n + m)
    first, second = neighbours(
        ra[here], lat[here], ra[there], lat[there], radius_arcsec=radius
    )
    sky = SkyCoord(ra, lat, unit="deg")
    apart = sky[here][:, np.newaxis].separation(sky[there]).arcsec
    expected = np.nonzero(apart <= radius)
    assert 100 < len(first) < n * m
    assert first.tolist() == expected[0].tolist()
    assert second.tolist() == expected[1].tolist()


def test_nothing_has_no_neighbours():
    none, one = np.zeros(0), np.zeros(1)
    for a, b in ((none, one), (one, none), (none, none)):
        assert not neighbours(a, a, b, b, radius_arcsec=1.0)[0].size
