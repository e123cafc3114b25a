import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamdiff.imaging.skymap import SkyMap
from streamdiff.testing import Scene

SKYMAP = SkyMap()
SMALL = SkyMap(nside_order=9, patch_pixels=600, pixel_scale_arcsec=0.5)


def holds(wcs, shape, ra, dec):
    x, y = wcs.wcs_world2pix(ra, dec, 0)
    inside = (x > -0.5) & (x < shape[1] - 0.5) & (y > -0.5) & (y < shape[0] - 0.5)
    return inside & np.isfinite(x)


@given(
    ra=st.floats(0, 360),
    dec=st.floats(-90, 90),
    turn=st.floats(0, 360),
    shape=st.tuples(st.integers(1, 900), st.integers(1, 900)),
)
@settings(max_examples=60)
def test_patches_touched_cover_every_pixel_of_an_image(ra, dec, turn, shape):
    scene = Scene(shape=shape, ra=ra, dec=dec, pixel_scale_arcsec=0.5)
    wcs = scene.dithered_wcs(rotation_deg=turn)
    y, x = np.mgrid[0 : shape[0] - 1 : 13j, 0 : shape[1] - 1 : 13j]
    sky = wcs.all_pix2world(x.ravel(), y.ravel(), 0)
    covered = np.zeros(x.size, bool)
    for tract, patch in SMALL.patches_touching(wcs, shape):
        covered |= holds(SMALL.wcs(tract, patch), SMALL.shape(tract, patch), *sky)
    assert covered.all()


@given(tract=st.integers(0, 12 * 4**5 - 1), row=st.integers(0, 17))
@settings(max_examples=30)
def test_patches_in_use_are_all_that_touch_the_tract(tract, row):
    touching = SKYMAP.patches(tract)
    side = SKYMAP.patches_per_side
    assert all(0 <= patch < side**2 for patch in touching)
    # The grid holds the whole pixel: nothing is cut off at its border.
    rows, columns = np.divmod(touching, side)
    assert rows.min() >= 0
    assert columns.max() < side
    for patch in [p for p in touching if p // side == row]:
        found = SKYMAP.patches_touching(
            SKYMAP.wcs(tract, patch), SKYMAP.shape(tract, patch)
        )
        assert len(found) >= 1


def test_an_image_inside_a_patch_touches_that_patch_alone():
    tract = 1365
    patch = SKYMAP.patches_per_side // 2 * (SKYMAP.patches_per_side + 1)
    inner = SKYMAP.wcs(tract, patch)
    inner.wcs.crpix -= 1000
    assert SKYMAP.patches_touching(inner, (600, 600)) == [(tract, patch)]


@pytest.mark.parametrize("dec", [0.3, 89.99, -90.0, 41.8])
def test_an_image_across_ra_0_touches_both_sides(dec):
    scene = Scene(shape=(600, 600), ra=0.0, dec=dec, pixel_scale_arcsec=0.5)
    found = SMALL.patches_touching(scene.wcs, scene.shape)
    assert 1 <= len(found) <= 24
    assert found == sorted(set(found))


def test_neighbouring_patches_overlap_by_twice_the_overlap():
    tract, side = 77, SKYMAP.patches_per_side
    patch = SKYMAP.patches(tract)[20]
    first, second = SKYMAP.wcs(tract, patch), SKYMAP.wcs(tract, patch + 1)
    shift = first.wcs.crpix - second.wcs.crpix
    np.testing.assert_allclose(shift, [4096 - 200, 0])
    upper = SKYMAP.wcs(tract, patch + side)
    np.testing.assert_allclose(first.wcs.crpix - upper.wcs.crpix, [0, 4096 - 200])


def test_north_is_up_and_east_to_the_left():
    wcs = SKYMAP.wcs(1365, SKYMAP.patches(1365)[0])
    ra, dec = wcs.wcs_pix2world([0, 100, 0], [0, 0, 100], 0)
    assert ra[1] < ra[0]
    assert dec[2] > dec[0]


@pytest.mark.parametrize(("tract", "patch"), [(-1, 0), (12 * 4**5, 0), (0, 10**4)])
def test_what_does_not_exist_is_refused(tract, patch):
    with pytest.raises(ValueError, match="must be in"):
        SKYMAP.wcs(tract, patch)


@pytest.mark.parametrize(
    "options",
    [{"nside_order": 11}, {"pixel_scale_arcsec": 0}, {"overlap_pixels": 2048}],
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match="must be"):
        SkyMap(**options)
