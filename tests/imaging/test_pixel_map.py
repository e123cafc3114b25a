import numpy as np
import pytest

from streamdiff.imaging.pixel_map import PixelMap, pixel_map
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
