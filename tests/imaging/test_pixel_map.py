import numpy as np
import pytest

from streamdiff.imaging.pixel_map import PixelMap, overlap, pixel_map
from streamdiff.testing import Scene

SCENE = Scene(shape=(200, 300))


@pytest.mark.parametrize("rotation", [0, 20, 170])
def test_the_inverse_leads_back(rotation):
    science = SCENE.dithered_wcs(dx=30, dy=-20, rotation_deg=rotation)
    there = pixel_map(SCENE.observe().wcs, science, (150, 160))
    for position in [(0.0, 0.0), (70.3, 99.5), (159.0, 149.0), (-40.0, 200.0)]:
        local = there.affine_at(*position)
        assert local is not None
        source, _ = local
        # A map is linear between its nodes to 1e-3 pixel.
        assert there.target_of(*source) == pytest.approx(position, abs=0.01)


def test_a_map_without_positions_has_no_inverse():
    lost = np.full((3, 3), np.nan)
    nowhere = PixelMap(x=lost, y=lost, step=16)
    assert nowhere.affine_at(0, 0) is None
    with pytest.raises(ValueError, match="can not be inverted"):
        nowhere.target_of(0, 0)


@pytest.mark.parametrize("dx", [0, 250, -290, 700])
def test_an_overlap_holds_all_pixels_that_fall_on_the_source(dx):
    source, shape = SCENE.observe().wcs, (400, 500)
    target = SCENE.dithered_wcs(dx=dx, dy=30, rotation_deg=20)
    x, y = target.wcs_pix2world(*np.indices(shape)[::-1].reshape(2, -1), 0)
    x, y = source.wcs_world2pix(x, y, 0)
    on_source = (np.abs(x - 149.5) < 150) & (np.abs(y - 99.5) < 100)
    on_source = on_source.reshape(shape)
    box = overlap(source, SCENE.shape, target, shape)
    if dx == 700:
        assert box is None
    assert on_source.any() == (box is not None)
    if box is not None:
        assert on_source[box].sum() == on_source.sum()
        assert on_source[box].size < 500 * 400


def test_all_may_overlap_where_positions_are_not_known():
    source = SCENE.observe().wcs
    target = source.deepcopy()
    target.wcs.crval = [(source.wcs.crval[0] + 100) % 360, 0]
    everything = slice(0, 40), slice(0, 50)
    assert overlap(source, SCENE.shape, target, (40, 50)) == everything
