"""The noise of proper differences of simulated skies."""

import numpy as np
import pytest
from scipy import fft

from streamdiff.imaging.point_source import forced_flux
from streamdiff.imaging.significance import significance
from streamdiff.model import UNUSABLE, Noise
from streamdiff.testing import (
    Displacement,
    GaussianProfile,
    MoffatProfile,
    PointSource,
    Scene,
    VaryingProfile,
    ideal_flux_error,
)
from streamdiff_al import AlardLuptonSubtractor
from streamdiff_decorrelation import WhiteningDecorrelator
from streamdiff_warp import LanczosWarper
from streamdiff_zogy import ZogySubtractor

# A little more than 1e6 px.
SHAPE = (1104, 1104)
FIELD = Scene.star_field(shape=SHAPE, seed=1)
EMPTY = Scene(shape=SHAPE)
SCIENCE_NOISE, TEMPLATE_NOISE = 10.0, 5.0

PROFILES = {
    "wider": (GaussianProfile(fwhm=3.8), GaussianProfile(fwhm=2.8)),
    "sharper": (GaussianProfile(fwhm=2.8), GaussianProfile(fwhm=3.8)),
    "crossed": (
        MoffatProfile(fwhm=4, ellipticity=0.15),
        MoffatProfile(fwhm=3.5, ellipticity=0.15, angle=90),
    ),
    "varying": (
        VaryingProfile(middle=MoffatProfile(fwhm=4)),
        VaryingProfile(middle=MoffatProfile(fwhm=3.3), fwhm_slope=(-0.05, 0.05)),
    ),
}


def observe(sky, profiles, **science):
    of_science, of_template = profiles
    return (
        sky.observe(profile=of_science, noise=SCIENCE_NOISE, seed=2, **science),
        sky.observe(profile=of_template, noise=TEMPLATE_NOISE, seed=1),
    )


def blank(difference, profile):
    """Return where stars, seen so wide, are below a quarter of the noise."""
    clean = FIELD.render(profile) < SCIENCE_NOISE / 4
    return clean & (difference.mask == 0)


def autocorrelation(image, good, lags=10):
    """Return correlations at lags along x, y and the diagonal, from all pairs."""
    power = [
        np.square(np.abs(fft.rfft2(plane, s=[2 * n for n in image.shape])))
        for plane in (np.where(good, image, 0), good.astype(float))
    ]
    sums, pairs = (fft.irfft2(p) for p in power)
    steps = np.arange(lags + 1)
    rho = [
        sums[index] / pairs[index] for index in ((0, steps), (steps, 0), (steps, steps))
    ]
    return np.array([r / r[0] for r in rho])[:, 1:]


@pytest.mark.parametrize("name", PROFILES)
def test_noise_is_white_and_known_and_so_is_the_significance(name):
    difference = ZogySubtractor().subtract(*observe(FIELD, PROFILES[name]))
    sky = blank(difference, PROFILES[name][0])
    assert difference.noise is Noise.WHITE
    # 6e5 px know a standard deviation to 0.1 %, the score's to about 0.4 %: its
    # 30,000 independent values.
    pull = difference.image / np.sqrt(difference.variance)
    assert pull[sky].std() == pytest.approx(1, abs=0.005)
    assert difference.score[sky].std() == pytest.approx(1, abs=0.02)
    # Residual stars of unequal wings would show at once.
    assert np.abs(autocorrelation(pull, sky)).max() <= 0.02


@pytest.mark.parametrize("jitter", [0.1, 0.3])
def test_jitter_of_stars_leaves_the_significance_of_blank_sky_alone(jitter):
    science, template = observe(
        FIELD, PROFILES["wider"], displacement=Displacement(jitter=jitter, seed=3)
    )
    difference = ZogySubtractor().subtract(science, template)
    sky = blank(difference, PROFILES["wider"][0])
    assert difference.score[sky].std() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("name", PROFILES)
def test_static_stars_are_gone(name):
    difference = ZogySubtractor().subtract(*observe(FIELD, PROFILES[name]))
    bright = near_stars(difference, lambda flux: flux > 5e3, radius=6)
    assert difference.score[bright].std() == pytest.approx(1, abs=0.15)


def near_stars(difference, choose, radius):
    y, x = np.indices(difference.shape)
    near = np.zeros(difference.shape, bool)
    for star in FIELD.sources:
        if choose(star.flux):
            box = tuple(
                slice(max(round(p) - radius, 0), max(round(p) + radius + 1, 0))
                for p in (star.y, star.x)
            )
            near[box] |= np.hypot(x[box] - star.x, y[box] - star.y) <= radius
    return near & (difference.mask == 0)


JITTER = 0.2


@pytest.fixture(scope="module")
def jittered():
    """Stars on a grid, all with nu sigma^2 < 30 px^2, each with a shift of its own."""
    profiles = PROFILES["wider"]
    error = ideal_error(profiles, (0, 0))
    rng = np.random.default_rng(7)
    places = np.mgrid[30:1080:24, 30:1080:24].reshape(2, -1).T
    nu = rng.uniform(0.3, 1, len(places)) * 30 / JITTER**2
    stars = tuple(
        PointSource(x + rng.uniform(-0.5, 0.5), y + rng.uniform(-0.5, 0.5), n * error)
        for (y, x), n in zip(places.tolist(), nu.tolist(), strict=True)
    )
    sky = Scene(sources=stars, shape=SHAPE)
    shaken = Displacement(jitter=JITTER, seed=3)
    return observe(sky, profiles, displacement=shaken)


def ideal_error(profiles, place):
    stamps = [p.at(*place, SHAPE).stamp() for p in profiles]
    return ideal_flux_error(*stamps, SCIENCE_NOISE**2, TEMPLATE_NOISE**2)


def near_grid(radius=10):
    y, x = np.indices(SHAPE)
    # The stars are every 24 px, from 30 px on.
    nearest = [np.abs((p - 30 + 12) % 24 - 12) for p in (y, x)]
    return np.hypot(*nearest) <= radius


def test_significance_near_shifted_stars_is_honest_and_would_not_be(jittered):
    science, template = jittered
    inside = np.s_[40:1060, 40:1060]
    near = near_grid()[inside]
    corrected = ZogySubtractor().subtract(science, template).score[inside]
    raw = ZogySubtractor(sigma_x=0, sigma_y=0).subtract(science, template)
    assert corrected[near].std() == pytest.approx(1, abs=0.1)
    assert raw.score[inside][near].std() > 2


def test_scatter_of_positions_is_measured(jittered):
    science, template = jittered
    metrics = ZogySubtractor().subtract(science, template).metrics
    # 100 stars know a scatter to 7 %, its median a little worse.
    assert metrics["astrometric_sigma_x"] == pytest.approx(JITTER, rel=0.25)
    assert metrics["astrometric_sigma_y"] == pytest.approx(JITTER, rel=0.25)
    assert metrics["astrometric_sigma_measured"] == 1


def grid_of(profiles, snr, rng, step=48):
    """Return sources of known S/N on a grid, far from each other."""
    places = np.mgrid[30:1080:step, 30:1080:step].reshape(2, -1).T[:, ::-1]
    places = places + rng.uniform(-0.5, 0.5, places.shape)
    errors = np.array([ideal_error(profiles, place) for place in places])
    return places, snr * errors, errors


def test_astrometric_term_hides_hardly_any_faint_transient():
    profiles, rng = PROFILES["wider"], np.random.default_rng(4)
    n = grid_of(profiles, 1.0, rng)[0].shape[0]
    places, flux, _ = grid_of(profiles, rng.uniform(7, 10, n), rng)
    sources = [PointSource(*p, f) for p, f in zip(places, flux, strict=True)]
    template = EMPTY.observe(profile=profiles[1], noise=TEMPLATE_NOISE, seed=1)
    science = EMPTY.add(*sources).observe(
        profile=profiles[0], noise=SCIENCE_NOISE, seed=2
    )
    found = []
    for sigma in (0.0, 0.3):
        subtractor = ZogySubtractor(sigma_x=sigma, sigma_y=sigma)
        score = subtractor.subtract(science, template).score
        column, row = np.rint(places).astype(int).T
        found.append(np.count_nonzero(score[row, column] > 5))
    assert found[1] >= 0.98 * found[0]


@pytest.mark.parametrize("name", PROFILES)
def test_flux_is_unbiased_and_as_deep_as_can_be(name):
    profiles, rng = PROFILES[name], np.random.default_rng(5)
    places, flux, errors = grid_of(profiles, 50.0, rng)
    sources = [PointSource(*p, f) for p, f in zip(places, flux, strict=True)]
    template = EMPTY.observe(profile=profiles[1], noise=TEMPLATE_NOISE, seed=1)
    science = EMPTY.add(*sources).observe(
        profile=profiles[0], noise=SCIENCE_NOISE, seed=2
    )
    difference = ZogySubtractor(subtract_background=False).subtract(science, template)
    forced = forced_flux(difference, *places.T, exclude=UNUSABLE)
    # 484 sources of S/N 50: the mean is known to 0.09 %.
    assert np.mean(forced.flux / flux) == pytest.approx(1, abs=0.005)
    pull = (forced.flux - flux) / forced.flux_error
    assert pull.std() == pytest.approx(1, abs=0.1)
    assert np.median(errors / forced.flux_error) >= 0.985


@pytest.mark.parametrize("name", ["wider", "sharper"])
def test_significance_agrees_with_that_of_decorrelated_alard_lupton(name):
    profiles, rng = PROFILES[name], np.random.default_rng(6)
    places, flux, _ = grid_of(profiles, 50.0, rng)
    sources = [PointSource(*p, f) for p, f in zip(places, flux, strict=True)]
    template = FIELD.observe(profile=profiles[1], noise=TEMPLATE_NOISE, seed=1)
    science = FIELD.add(*sources).observe(
        profile=profiles[0], noise=SCIENCE_NOISE, seed=2
    )
    proper = ZogySubtractor(scatter_floor=0).subtract(science, template)
    matched = AlardLuptonSubtractor().subtract(science, template)
    white = WhiteningDecorrelator().decorrelate(matched, science, template)
    other = significance(white, exclude=UNUSABLE)
    column, row = np.rint(places).astype(int).T
    alone = FIELD.render(profiles[0])[row, column] < SCIENCE_NOISE / 4
    ours, theirs = (s[row, column][alone] for s in (proper.score, other))
    assert np.median(ours / theirs) == pytest.approx(1, abs=0.02)


def test_score_of_a_warped_template_of_equal_depth_is_honest():
    profile = GaussianProfile(fwhm=3.5)
    size = SHAPE[0] + 40
    shifted = Scene(shape=(size, size)).observe(profile=profile, noise=10.0, seed=1)
    wcs = EMPTY.dithered_wcs(dx=0.5, dy=0.5)
    template = LanczosWarper().warp(shifted, wcs, SHAPE)
    assert np.median(template.covariance_factor) > 1.05
    science = EMPTY.observe(profile=profile, noise=10.0, seed=2, wcs=wcs)
    difference = ZogySubtractor().subtract(science, template)
    # 30,000 independent values know it to 0.4 %.
    assert difference.score[difference.mask == 0].std() == pytest.approx(1, abs=0.015)
