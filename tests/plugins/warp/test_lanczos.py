from dataclasses import replace

import numpy as np
import pytest

from streamdiff.model import StarList, UnknownPsf
from streamdiff.testing import GaussianProfile, Scene
from streamdiff_warp import LanczosWarper, streamdiff_warpers

SCENE = Scene.star_field(shape=(300, 300), density_per_mpx=2500, seed=4)


def test_the_same_grid_is_not_resampled():
    exposure = SCENE.observe()
    assert LanczosWarper().warp(exposure, SCENE.wcs, SCENE.shape) is exposure


def test_a_smaller_shape_is_a_cut_out():
    exposure = SCENE.observe()
    warped = LanczosWarper().warp(exposure, SCENE.wcs, (100, 120))
    np.testing.assert_allclose(
        warped.image[5:-5, 5:-5], exposure.image[5:95, 5:115], rtol=1e-4, atol=0.1
    )


def test_identity_and_time_are_kept():
    exposure = SCENE.observe(visit=77, mjd=61234.5)
    warped = LanczosWarper().warp(exposure, SCENE.dithered_wcs(dx=0.3), SCENE.shape)
    assert warped.id == exposure.id
    assert warped.midpoint_mjd_tai == exposure.midpoint_mjd_tai
    assert warped.exposure_time_s == exposure.exposure_time_s
    assert warped.photometric == exposure.photometric


@pytest.mark.parametrize(("order", "tolerance"), [(3, 0.006), (5, 0.002)])
def test_warped_stars_are_those_observed_on_that_grid(order, tolerance):
    target = SCENE.dithered_wcs(rotation_deg=3, dx=0.4, dy=0.7)
    exposure = SCENE.observe(fwhm=4.0, noise=1e-3)
    warped = LanczosWarper(order=order).warp(exposure, target, SCENE.shape)
    direct = SCENE.render(GaussianProfile(fwhm=4.0), target)
    good = warped.mask == 0
    assert good.mean() > 0.85
    error = np.abs(warped.image - direct)[good].max()
    assert error < tolerance * direct.max()


def test_an_unknown_psf_stays_unknown():
    exposure = SCENE.observe(psf="unknown")
    warped = LanczosWarper().warp(exposure, SCENE.dithered_wcs(dx=0.5), SCENE.shape)
    assert isinstance(warped.psf, UnknownPsf)


def test_stars_of_a_catalogue_do_not_move_to_other_pixels():
    stars = StarList(x=[5.0], y=[6.0], flux=[1.0], snr=[9.0])
    exposure = replace(SCENE.observe(), stars=stars)
    warped = LanczosWarper().warp(exposure, SCENE.dithered_wcs(dx=0.5), SCENE.shape)
    assert warped.stars is None


def test_the_plugin_is_offered():
    assert streamdiff_warpers() == {"lanczos": LanczosWarper}
