import numpy as np
import pytest

from streamdiff.model import UnknownPsf
from streamdiff.testing import (
    Camera,
    Galaxy,
    GaussianProfile,
    MoffatProfile,
    PointSource,
    Scene,
    TrailedSource,
)
from streamdiff.testing.scene import power_law

EMPTY = Scene(shape=(1024, 1024))
FIELD = Scene.star_field(shape=(200, 240), seed=4, galaxies=5)


def centroid(image):
    y, x = np.indices(image.shape)
    return (image * x).sum() / image.sum(), (image * y).sum() / image.sum()


def test_the_noise_of_a_blank_sky_is_the_noise_asked_for():
    exposure = EMPTY.observe(noise=7.0, seed=3)
    # 2^20 pixels know a variance to sqrt(2 / 2^20) = 0.14 %, a mean to 0.007.
    assert exposure.image.var(dtype=float) == pytest.approx(49, rel=0.007)
    assert exposure.image.mean(dtype=float) == pytest.approx(0, abs=0.035)
    assert (exposure.variance == 49).all()


def test_the_noise_of_neighbours_is_independent():
    noise = EMPTY.observe(noise=1.0, seed=3).image
    # Half of 2^20 pairs know a correlation to 0.001.
    assert np.mean(noise[:, 1:] * noise[:, :-1]) == pytest.approx(0, abs=0.005)


def test_the_variance_plane_predicts_the_scatter_on_a_bright_star():
    scene = Scene(sources=(PointSource(20, 20, 1e5),), shape=(41, 41))
    camera = Camera(gain=1.5)
    light = scene.render(GaussianProfile(fwhm=3.5))
    pulls = []
    for seed in range(40):
        star = scene.observe(fwhm=3.5, camera=camera, seed=seed)
        pulls.append(
            (star.image - light)[15:26, 15:26] / np.sqrt(star.variance)[15:26, 15:26]
        )
    # 40 x 121 values know their standard deviation to 1 %.
    assert np.std(pulls) == pytest.approx(1, abs=0.05)
    assert star.variance == pytest.approx(100 + light / 1.5, rel=1e-5)


@pytest.mark.parametrize(
    "source",
    [
        PointSource(50.3, 48.8, 5e4),
        PointSource(50.3, 48.8, -5e4),
        Galaxy(50.3, 48.8, 5e4, 3.0, 0.5, 40),
        TrailedSource(50.3, 48.8, 5e4, 12.0, 70),
    ],
    ids=["star", "lost star", "galaxy", "trail"],
)
def test_flux_and_position_are_kept(source):
    light = Scene(sources=(source,), shape=(101, 103)).render(MoffatProfile(fwhm=3.5))
    assert light.sum() == pytest.approx(source.flux, rel=1e-4)
    assert centroid(light) == pytest.approx((50.3, 48.8), abs=1e-3)


def test_a_galaxy_is_the_convolution_of_its_disc_with_the_psf():
    profile = GaussianProfile(fwhm=3.0)
    galaxy = Galaxy(50.2, 49.6, 1.0, half_light_radius=4.0, axis_ratio=0.6, angle=25)
    nodes, weights = np.polynomial.laguerre.laggauss(40)
    turns = 2 * np.pi * (np.arange(64) + 0.5) / 64
    disc = np.array(galaxy.axes) @ np.array(
        [np.outer(nodes, np.cos(turns)).ravel(), np.outer(nodes, np.sin(turns)).ravel()]
    )
    flux = np.repeat(weights * nodes, 64) / 64
    points = Scene(
        sources=tuple(
            PointSource(50.2 + dx, 49.6 + dy, f)
            for dx, dy, f in zip(*disc, flux, strict=True)
        ),
        shape=(101, 101),
    ).render(profile)
    light = Scene(sources=(galaxy,), shape=(101, 101)).render(profile)
    # The PSF peaks at 0.1 per pixel, and its shift by a Fourier phase is exact to
    # 6e-5 of that: a Gaussian of 3 px FWHM is not quite band-limited.
    assert light == pytest.approx(points, abs=1e-5)


def test_half_of_a_galaxy_is_within_its_half_light_radius():
    galaxy = Galaxy(100, 100, 1.0, half_light_radius=20.0)
    light = Scene(sources=(galaxy,), shape=(201, 201)).render(GaussianProfile(fwhm=2.5))
    y, x = np.indices(light.shape) - 100
    assert light[np.hypot(x, y) < 20].sum() == pytest.approx(0.5, abs=0.01)


def test_stars_fall_where_the_wcs_puts_their_sky_position():
    star = PointSource(61.25, 33.5, 1e4)
    scene = Scene(sources=(star,), shape=(100, 120))
    wcs = scene.dithered_wcs(rotation_deg=12, dx=-7.3, dy=4.1)
    x, y = wcs.world_to_pixel(scene.wcs.pixel_to_world(star.x, star.y))
    placed = np.ravel(scene.positions([star], wcs))
    assert placed == pytest.approx([float(x), float(y)], abs=1e-6)
    moved = Scene(sources=(PointSource(float(x), float(y), 1e4),), shape=(100, 120))
    profile = MoffatProfile(fwhm=3.5)
    assert scene.render(profile, wcs) == pytest.approx(moved.render(profile), abs=1e-5)


def test_a_dither_moves_the_middle_of_the_scene():
    scene = Scene(shape=(100, 120))
    wcs = scene.dithered_wcs(rotation_deg=30, dx=5, dy=-3)
    x, y = wcs.all_world2pix(scene.ra, scene.dec, 0)
    assert (x, y) == pytest.approx((59.5 + 5, 49.5 - 3), abs=1e-6)


def test_a_rotation_turns_the_sky_from_x_to_y():
    scene = Scene(shape=(101, 101))
    right = [PointSource(80, 50, 1.0)]
    x, y = scene.positions(right, scene.dithered_wcs(rotation_deg=90))
    assert (x[0], y[0]) == pytest.approx((50, 80), abs=1e-4)


def test_a_galaxy_turns_with_the_sky():
    galaxy = Galaxy(50, 50, 1.0, half_light_radius=5.0, axis_ratio=0.3, angle=10)
    scene = Scene(sources=(galaxy,), shape=(101, 101))
    profile = GaussianProfile(fwhm=3.0)
    turned = scene.render(profile, scene.dithered_wcs(rotation_deg=90))
    assert turned == pytest.approx(np.rot90(scene.render(profile), -1), abs=1e-6)


def test_east_is_left_and_north_is_up():
    wcs = Scene(shape=(101, 101), dec=0.0).wcs
    left, up = wcs.pixel_to_world(0, 50), wcs.pixel_to_world(50, 100)
    assert left.ra.deg > 210
    assert up.dec.deg == pytest.approx(50 * 0.2 / 3600)


def test_stars_beyond_the_border_shine_in():
    beyond = Scene(sources=(PointSource(-2, 20, 1e4),), shape=(41, 41))
    assert beyond.render(GaussianProfile(fwhm=3.5)).max() > 100


def test_equal_seeds_make_equal_exposures():
    first, second = (FIELD.observe(seed=5) for _ in range(2))
    np.testing.assert_array_equal(first.image, second.image)
    assert (FIELD.observe(seed=6).image != first.image).any()


def test_another_source_leaves_the_noise_alone():
    new = PointSource(100, 100, 3e4)
    change = FIELD.add(new).observe(seed=5).image - FIELD.observe(seed=5).image
    assert change.sum(dtype=float) == pytest.approx(3e4, rel=1e-4)
    assert np.abs(change[:80]).max() == 0


def test_a_star_field_has_the_density_asked_for():
    field = Scene.star_field(shape=(300, 400), density_per_mpx=20_000, margin=50)
    assert len(field.sources) == 20_000 * 400 * 500 / 1e6


def test_galaxies_do_not_move_the_stars():
    with_galaxies = Scene.star_field(seed=8, galaxies=3).sources
    assert with_galaxies[:-3] == Scene.star_field(seed=8).sources
    assert all(isinstance(source, Galaxy) for source in with_galaxies[-3:])


def test_the_luminosity_function_is_a_power_law():
    fluxes = power_law(np.random.default_rng(0).uniform(size=100_000), (1, 1e4), 1.75)
    assert fluxes.min() >= 1
    assert fluxes.max() <= 1e4
    # N(> F) ~ F^-0.75: 10^-0.75 of the stars are ten times brighter than the limit.
    # 1e5 stars know that fraction to 1 %.
    brighter = (fluxes > 10).mean()
    assert brighter == pytest.approx((10**-0.75 - 1e-3) / (1 - 1e-3), rel=0.04)


def test_the_flux_scale_is_an_error_of_the_sources():
    profile = GaussianProfile(fwhm=3.5)
    bright = FIELD.observe(flux_scale=1.1, noise=1e-3, profile=profile)
    assert bright.image == pytest.approx(
        1.1 * FIELD.render(profile), abs=0.05, rel=1e-5
    )


def test_an_exposure_can_hide_its_psf():
    assert isinstance(FIELD.observe(psf="unknown").psf, UnknownPsf)


def test_an_exposure_knows_what_it_is():
    exposure = FIELD.observe(
        visit=7, band="g", mjd=61234.5, camera=Camera(instrument="Cam", detector=9)
    )
    assert str(exposure.id) == "Cam/7/9/g"
    assert exposure.midpoint_mjd_tai == 61234.5
    assert exposure.exposure_time_s == 30


def test_the_image_may_be_larger_than_the_scene():
    scene = Scene(sources=(PointSource(10, 10, 1e4),), shape=(21, 21))
    exposure = scene.observe(shape=(61, 81), wcs=scene.dithered_wcs(dx=30, dy=20))
    assert exposure.shape == (61, 81)
    assert np.unravel_index(exposure.image.argmax(), (61, 81)) == (30, 40)


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (33, 32)])
def test_tiny_images_are_drawn(shape):
    scene = Scene(sources=(PointSource(0.2, 0.3, 1e4),), shape=shape)
    assert np.isfinite(scene.observe(profile=MoffatProfile(fwhm=5.0)).image).all()


def test_noise_may_differ_from_pixel_to_pixel():
    noise = np.ones((64, 64))
    noise[32:] = 5
    exposure = Scene(shape=(64, 64)).observe(noise=noise)
    np.testing.assert_array_equal(exposure.variance, noise**2)
