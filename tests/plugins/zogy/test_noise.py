"""The noise of proper differences of simulated skies."""

import numpy as np
import pytest

from streamdiff.imaging.point_source import forced_flux
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
from streamdiff.testing.figures import autocorrelation, noise_ratio
from streamdiff_registration import StarRegistrar
from streamdiff_warp import LanczosWarper
from streamdiff_zogy import Fluxes, ZogySubtractor

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


@pytest.fixture(scope="module", params=list(PROFILES))
def static(request):
    """The difference of a sky of which nothing changed, and the science profile."""
    profiles = PROFILES[request.param]
    return ZogySubtractor().subtract(*observe(FIELD, profiles)), profiles[0]


def test_noise_is_white_and_known_and_so_is_the_significance(static):
    difference, profile = static
    sky = blank(difference, profile)
    assert difference.noise is Noise.WHITE
    # 6e5 px know a standard deviation to 0.1 %, the score's to about 0.4 %: its
    # 30,000 independent values.
    assert noise_ratio(difference, sky) == pytest.approx(1, abs=0.005)
    assert difference.score[sky].std() == pytest.approx(1, abs=0.02)
    # Residual stars of unequal wings would show at once.
    assert np.abs(autocorrelation(difference, sky, 10)).max() <= 0.02


def test_static_stars_are_gone(static):
    difference, _ = static
    bright = near_stars(difference, lambda flux: flux > 5e3, radius=6)
    assert difference.score[bright].std() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("jitter", [0.1, 0.3])
def test_jitter_of_stars_leaves_the_significance_of_blank_sky_alone(jitter):
    science, template = observe(
        FIELD, PROFILES["wider"], displacement=Displacement(jitter=jitter, seed=3)
    )
    difference = ZogySubtractor().subtract(science, template)
    sky = blank(difference, PROFILES["wider"][0])
    assert difference.score[sky].std() == pytest.approx(1, abs=0.02)


STEP = 24


def on_grid(flux, seed, step=STEP):
    """Return sources apart from each other, with fluxes that a function draws."""
    rng = np.random.default_rng(seed)
    places = np.mgrid[30:1080:step, 30:1080:step].reshape(2, -1).T[:, ::-1]
    places = places + rng.uniform(-0.5, 0.5, places.shape)
    fluxes = np.broadcast_to(flux(places, rng), len(places))
    return places, fluxes, [PointSource(*p, f) for p, f in zip(places, fluxes)]  # noqa: B905


def near_grid(radius=10, step=STEP):
    y, x = np.indices(SHAPE)
    return np.hypot(*((p - 30 + step / 2) % step - step / 2 for p in (y, x))) <= radius


def ideal_error(profiles, place, scale=1.0):
    """Return the closed-form optimum on the flux scale of the template."""
    stamps = [p.at(*place, SHAPE).stamp() for p in profiles]
    variances = (SCIENCE_NOISE / scale) ** 2, TEMPLATE_NOISE**2
    return ideal_flux_error(*stamps, *variances)


JITTER = 0.2
INSIDE = np.s_[40:1060, 40:1060]


def shaken(profiles, faintest, brightest):
    """Stars whose nu sigma^2 is in a range [px^2], each with a shift of its own."""
    error = ideal_error(profiles, (0, 0))
    low, high = (limit / JITTER**2 * error for limit in (faintest, brightest))
    *_, stars = on_grid(lambda p, rng: rng.uniform(low, high, len(p)), seed=7)
    sky = Scene(sources=tuple(stars), shape=SHAPE)
    return observe(sky, profiles, displacement=Displacement(jitter=JITTER, seed=3))


@pytest.fixture(scope="module")
def jittered():
    science, template = shaken(PROFILES["wider"], 9, 30)
    return science, template, ZogySubtractor().subtract(science, template)


def test_significance_near_shifted_stars_is_honest_and_would_not_be(jittered):
    science, template, difference = jittered
    near = near_grid()[INSIDE]
    assert difference.score[INSIDE][near].std() == pytest.approx(1, abs=0.1)
    raw = ZogySubtractor(sigma_x=0, sigma_y=0).subtract(science, template)
    assert raw.score[INSIDE][near].std() > 2


def test_scatter_of_positions_is_measured(jittered):
    metrics = jittered[2].metrics
    # The median size of 200 deviations knows a scatter to 8 %.
    assert metrics["astrometric_sigma_x"] == pytest.approx(JITTER, rel=0.25)
    assert metrics["astrometric_sigma_y"] == pytest.approx(JITTER, rel=0.25)
    assert metrics["astrometric_sigma_measured"] == 1


@pytest.mark.parametrize("name", ["wider", "sharper"])
def test_cores_of_the_brightest_shifted_stars_make_no_false_detection(name):
    # Ten times brighter than where the first order is enough.
    science, template = shaken(PROFILES[name], 30, 300)
    given = ZogySubtractor(sigma_x=JITTER, sigma_y=JITTER).subtract(science, template)
    near = near_grid()[INSIDE]
    assert given.score[INSIDE][near].std() == pytest.approx(1, abs=0.1)
    # 2,000 Gaussian shifts are up to 4 sigma long: 1 in 1,000 stars may show.
    assert np.count_nonzero(np.abs(given.score[INSIDE]) > 6) < 5


def test_astrometric_term_hides_hardly_any_faint_transient():
    profiles = PROFILES["wider"]
    error = ideal_error(profiles, (0, 0))
    places, _, sources = on_grid(
        lambda p, rng: error * rng.uniform(7, 10, len(p)), seed=4
    )
    science, _ = observe(EMPTY.add(*sources), profiles)
    _, template = observe(EMPTY, profiles)
    found = []
    for sigma in (0.0, 0.3):
        subtractor = ZogySubtractor(sigma_x=sigma, sigma_y=sigma)
        score = subtractor.subtract(science, template).score
        column, row = np.rint(places).astype(int).T
        found.append(np.count_nonzero(score[row, column] > 5))
    assert found[1] >= 0.98 * found[0]


def test_smooth_displacement_is_for_the_registrar_not_for_the_noise():
    profiles = PROFILES["wider"]
    size = SHAPE[0] + 40
    wide = Scene(sources=FIELD.sources, shape=SHAPE)
    deep = wide.observe(
        profile=profiles[1],
        noise=TEMPLATE_NOISE,
        seed=1,
        wcs=wide.dithered_wcs(dx=20, dy=20),
        shape=(size, size),
    )
    science = FIELD.observe(
        profile=profiles[0],
        noise=SCIENCE_NOISE,
        seed=2,
        displacement=Displacement(rms=0.2, seed=5),
    )
    template = LanczosWarper().warp(deep, science.wcs, SHAPE)
    registered = StarRegistrar().register(science, template).wcs
    again = LanczosWarper().warp(deep, registered, SHAPE)
    before, after = (ZogySubtractor().subtract(science, t) for t in (template, again))
    for axis in "xy":
        name = f"astrometric_sigma_{axis}"
        assert before.metrics[name] > 0.1
        # What a polynomial leaves of waves, and its own noise.
        assert after.metrics[name] < 0.03
    bright = near_stars(after, lambda flux: flux > 5e3, radius=6)
    assert after.score[bright].std() == pytest.approx(1, abs=0.1)


# Flux scale of the science image, profiles, and the distance of injected sources at
# which they do not see each other: Moffat wings reach far. Where the flux scale comes
# from stars, most of these are left alone.
INJECTED = {
    "wider": (1.0, PROFILES["wider"], 14),
    "reversed": (1.0, PROFILES["sharper"], 14),
    "elongated": (1.0, PROFILES["crossed"], 24),
    "varying": (1.0, PROFILES["varying"], 24),
    "fainter": (0.8, PROFILES["wider"], 72),
}


@pytest.fixture(scope="module", params=list(INJECTED))
def injected(request):
    """True and measured fluxes of sources of S/N 50, and the optimal errors."""
    scale, profiles, step = INJECTED[request.param]
    flux = 50 * ideal_error(profiles, (552, 552), scale)
    places, true, sources = on_grid(lambda _p, _rng: flux, seed=5, step=step)
    science, _ = observe(FIELD.add(*sources), profiles, flux_scale=scale)
    _, template = observe(FIELD, profiles)
    # So many changes are a background, and no star is alone.
    fluxes = Fluxes.CALIBRATED if scale == 1 else Fluxes.FITTED
    subtractor = ZogySubtractor(fluxes=fluxes, subtract_background=False)
    difference = subtractor.subtract(science, template)
    forced = forced_flux(difference, *places.T, exclude=UNUSABLE)
    sample = slice(None, None, 15)
    ideal = np.array([ideal_error(profiles, p, scale) for p in places[sample]])
    return forced, true, ideal / forced.flux_error[sample]


def test_injected_flux_is_unbiased(injected):
    forced, flux, _ = injected
    # 225 sources of S/N 50 know it to 0.13 %, the stars of the flux scale to 0.1 %.
    assert np.mean(forced.flux / flux) == pytest.approx(1, abs=0.005)


def test_errors_of_fluxes_are_the_optimum(injected):
    depth = injected[2]
    assert np.median(depth) == pytest.approx(1, abs=0.01)


def test_deviations_of_fluxes_are_those_of_their_errors(injected):
    forced, flux, _ = injected
    pull = (forced.flux - flux) / forced.flux_error
    # 5,600 know it to 0.9 %, 225 to 5 %.
    assert pull.std() == pytest.approx(1, abs=3 / np.sqrt(2 * len(pull)))


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
