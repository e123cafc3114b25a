from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamdiff.imaging.tile_map import Tile, TileMap
from streamdiff.testing import Scene

SIDE = 300


def tile(ra, dec, shape=(SIDE, SIDE)):
    return Tile(wcs=Scene(shape=shape, ra=ra, dec=dec).wcs, shape=shape)


def grid(ra, dec):
    """Return 3 x 3 tiles that touch each other."""
    step = SIDE * Scene().pixel_scale_arcsec / 3600
    cosine = np.cos(np.radians(dec))
    return TileMap(
        tiles={
            (0, 3 * j + i): tile(ra + (1 - i) * step / cosine, dec + (j - 1) * step)
            for j in range(3)
            for i in range(3)
        }
    )


@given(x=st.floats(-250, 250), y=st.floats(-250, 250), turn=st.floats(0, 360))
@settings(max_examples=40)
def test_tiles_touched_are_those_that_share_pixels_with_an_image(x, y, turn):
    tiles = grid(150.0, 2.0)
    scene = Scene(shape=(120, 90), ra=150.0, dec=2.0)
    wcs = scene.dithered_wcs(dx=x, dy=y, rotation_deg=turn)
    v, u = np.mgrid[0:119:30j, 0:89:30j]
    sky = wcs.all_pix2world(u.ravel(), v.ravel(), 0)
    expected = set()
    for key, one in tiles.tiles.items():
        column, row = one.wcs.wcs_world2pix(*sky, 0)
        inside = (np.abs(column - 149.5) < 150) & (np.abs(row - 149.5) < 150)
        expected |= {key} if inside.any() else set()
    touched = tiles.patches_touching(wcs, scene.shape)
    assert expected <= set(touched)
    assert touched == sorted(touched)


def test_what_is_far_away_is_not_touched():
    tiles = grid(150.0, 2.0)
    for ra, dec in ((150.0, 12.0), (330.0, -2.0), (155.0, 2.0)):
        scene = Scene(shape=(120, 90), ra=ra, dec=dec)
        assert tiles.patches_touching(scene.wcs, scene.shape) == []


@pytest.mark.parametrize(("ra", "dec"), [(0.0, 0.0), (10.0, 89.99), (200.0, -90.0)])
def test_tiles_on_the_meridian_and_the_poles_are_found(ra, dec):
    tiles = TileMap(tiles={(7, 3): tile(ra, dec)})
    scene = replace(Scene(shape=(50, 50)), ra=ra, dec=dec)
    assert tiles.patches_touching(scene.wcs, scene.shape) == [(7, 3)]


def test_tiles_may_differ_in_shape():
    tiles = TileMap(tiles={(0, 0): tile(1, 1), (0, 1): tile(2, 2, (20, 30))})
    assert tiles.shape(0, 0) == (SIDE, SIDE)
    assert tiles.shape(0, 1) == (20, 30)


def test_unknown_tiles_are_refused():
    tiles = grid(150.0, 2.0)
    with pytest.raises(ValueError, match="no tile of tract 0, patch 9"):
        tiles.wcs(0, 9)


def test_a_map_without_tiles_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        TileMap(tiles={})
