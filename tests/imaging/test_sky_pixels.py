import numpy as np
import pytest
from astropy.wcs import WCS

from streamdiff.imaging.sky_pixels import (
    MAX_RADIUS_ARCSEC,
    coarser,
    finest_pixels,
    pixels_of_image,
    sky_pixels,
    with_neighbours,
)
from streamdiff.model.tangent_plane import moved

RNG = np.random.default_rng(2)
N = 20_000


def test_what_is_near_lies_in_a_pixel_or_its_neighbours_all_over_the_sky():
    ra, dec = RNG.uniform(0, 360, N), np.degrees(np.arcsin(RNG.uniform(-1, 1, N)))
    dec[: N // 10] = RNG.uniform(89.98, 90, N // 10)
    angle = RNG.uniform(0, 2 * np.pi, N)
    near = moved(
        ra, dec, MAX_RADIUS_ARCSEC * np.cos(angle), MAX_RADIUS_ARCSEC * np.sin(angle)
    )
    around = with_neighbours(sky_pixels(ra, dec))
    # One by one would be slow: what is missed by its own is in nobody's else here.
    assert np.isin(sky_pixels(*near), around).all()


def test_neighbours_are_few():
    assert 8 <= len(with_neighbours(sky_pixels([10.0], [20.0]))) <= 9


def test_an_image_touches_the_pixels_of_all_its_parts():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
    wcs.wcs.crval, wcs.wcs.crpix = (359.99, -75.0), (500, 400)
    wcs.wcs.cdelt = -0.3 / 3600, 0.3 / 3600
    shape = (800, 1000)
    x, y = RNG.uniform(-0.5, 999.5, N), RNG.uniform(-0.5, 799.5, N)
    sky = wcs.pixel_to_world(x, y)
    inside = sky_pixels(sky.ra.deg, sky.dec.deg)
    found = pixels_of_image(wcs, shape)
    assert np.isin(inside, with_neighbours(found)).all()
    # 240 x 300 arcsec in pixels of 52 x 52
    assert len(found) < 2.5 * 240 * 300 / 52**2


def test_coarser_pixels_hold_the_finer_ones():
    ra, dec = RNG.uniform(0, 360, 50), RNG.uniform(-80, 80, 50)
    expected = np.unique(sky_pixels(ra, dec, order=7))
    assert coarser(sky_pixels(ra, dec), 7).tolist() == expected.tolist()


@pytest.mark.parametrize("dec", [-89.0, 0.0, 60.0])
def test_the_finest_pixels_tell_near_positions_apart(dec):
    ra = 10 + np.arange(100) * 1e-3 / 3600 / np.cos(np.radians(dec))
    found = finest_pixels(ra, np.full(100, dec))
    assert len(set(found.tolist())) == 100
    assert (found >= 0).all()
    assert (found < 1 << 62).all()
