"""Variance planes that are wrong by a factor are found out, in any field."""

from dataclasses import replace

import numpy as np
import pytest

from streamdiff.errors import VarianceScaleError
from streamdiff.imaging.variance_scale import variance_scale
from streamdiff.model import MaskPlane
from streamdiff.testing import Scene
from streamdiff_warp import LanczosWarper

# 200^2 blank pixels know a variance from its median deviation to 0.8 %.
SHAPE = (256, 256)


@pytest.fixture(scope="module")
def sparse():
    scene = Scene.star_field(shape=SHAPE, density_per_mpx=2500, seed=5)
    return scene.observe(seed=6)


@pytest.fixture(scope="module")
def crowded():
    scene = Scene.star_field(shape=(512, 512), density_per_mpx=20_000, seed=3)
    return scene.observe(fwhm=4, seed=1)


def divided(exposure, factor):
    """Return an exposure that claims less noise than it has."""
    return replace(exposure, variance=exposure.variance / np.float32(factor))


@pytest.mark.parametrize("factor", [1.0, 1.345, 0.5, 6.0])
def test_a_wrong_plane_is_found_out(sparse, factor):
    assert variance_scale(divided(sparse, factor)) == pytest.approx(factor, rel=0.04)


def test_a_slope_of_the_sky_is_no_noise(sparse):
    slope = np.linspace(0, 100, SHAPE[1], dtype=np.float32)
    sloping = replace(sparse, image=sparse.image + slope)
    assert variance_scale(sloping) == pytest.approx(1, abs=0.05)


def test_stars_that_are_the_sky_are_no_noise(crowded):
    # the scatter of what shows as sky is 1.6 times the variance
    assert variance_scale(crowded) == pytest.approx(1, abs=0.03)


def test_a_wrong_plane_of_a_crowded_field_is_found_out(crowded):
    assert variance_scale(divided(crowded, 1.345)) == pytest.approx(1.345, abs=0.05)


def test_a_warp_keeps_its_variance():
    scene = Scene.star_field(shape=(512, 512), density_per_mpx=1000, seed=2)
    exposure = scene.observe(seed=3, wcs=scene.dithered_wcs(dx=0.5, dy=0.5))
    warp = LanczosWarper().warp(exposure, scene.wcs, scene.shape)
    assert variance_scale(warp) == pytest.approx(1, abs=0.03)


def test_noise_that_varies_over_the_image_is_in_the_plane():
    noise = np.broadcast_to(np.linspace(5, 50, SHAPE[1]), SHAPE)
    exposure = Scene(shape=SHAPE).observe(noise=noise, seed=1)
    assert variance_scale(exposure) == pytest.approx(1, abs=0.04)


def test_where_the_plane_is_out_of_proportion_its_typical_value_counts(sparse):
    # a plane that is right in a third of the pixels, and a thousandth in others
    variance = sparse.variance.copy()
    variance[np.random.default_rng(1).random(SHAPE) < 0.66] /= 1000
    typical = float(np.mean(sparse.variance[sparse.variance < 150]))
    factor = variance_scale(replace(sparse, variance=variance), limit=5000)
    assert 1 < factor < 5000
    constant = replace(sparse, variance=np.full(SHAPE, typical / 2, np.float32))
    assert variance_scale(constant) == pytest.approx(2, rel=0.05)


@pytest.mark.parametrize("factor", [30.0, 1 / 30])
def test_a_plane_out_of_proportion_is_an_error_with_its_factor(sparse, factor):
    with pytest.raises(VarianceScaleError, match=rf"{sparse.id}.*limit is 10"):
        variance_scale(divided(sparse, factor))


def test_the_limit_may_be_wider(sparse):
    found = variance_scale(divided(sparse, 30), limit=100)
    assert found == pytest.approx(30, rel=0.04)


def test_pixels_without_data_or_variance_do_not_count(sparse):
    image, variance = sparse.image.copy(), sparse.variance.copy()
    mask = sparse.mask.copy()
    image[:40], image[60, 60] = np.nan, np.inf
    variance[40:50], variance[50:55], variance[55:60] = np.nan, 0, np.inf
    image[:, 200:] = 1e6
    mask[:, 200:] |= MaskPlane.BAD
    broken = replace(sparse, image=image, variance=variance, mask=mask)
    assert variance_scale(broken) == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (8, 9), (33, 31), (257, 100)])
def test_small_and_odd_images_are_survived(shape):
    exposure = Scene(shape=shape).observe(seed=1)
    assert variance_scale(exposure) == pytest.approx(1, abs=0.5)


def test_nothing_to_measure_leaves_the_plane_alone(sparse):
    masked = replace(sparse, mask=np.full(SHAPE, MaskPlane.NO_DATA, np.int32))
    nothing = replace(sparse, image=np.full(SHAPE, np.nan, np.float32))
    constant = replace(sparse, image=np.zeros(SHAPE, np.float32))
    assert [variance_scale(e) for e in (masked, nothing, constant)] == [1, 1, 1]


def test_tiles_of_a_large_image_stand_for_it():
    exposure = Scene(shape=(1400, 1300)).observe(seed=4)
    # 16 tiles of 256^2: 0.2 %
    assert variance_scale(divided(exposure, 2)) == pytest.approx(2, rel=0.015)
