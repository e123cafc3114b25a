"""Both ways to subtract see the same sources with the same significance."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import fft
from scipy.interpolate import RectBivariateSpline

from streamdiff.imaging.convolve import convolve_varying
from streamdiff.imaging.point_source import forced_flux
from streamdiff.imaging.significance import significance
from streamdiff.model import UNUSABLE, Difference, Exposure, Noise
from streamdiff.testing import (
    GaussianProfile,
    MoffatProfile,
    PointSource,
    Scene,
    VaryingProfile,
    ideal_flux_error,
)
from streamdiff_al import AlardLuptonSubtractor
from streamdiff_decorrelation import NoDecorrelator, WhiteningDecorrelator
from streamdiff_zogy import ZogySubtractor

SHAPE = (1104, 1104)
SCIENCE_NOISE, TEMPLATE_NOISE = 10.0, 5.0
FIELD = Scene.star_field(shape=SHAPE, seed=1)

# Profiles of science image and template, and the flux scale.
SCENES = {
    "wider": (GaussianProfile(fwhm=3.8), GaussianProfile(fwhm=2.8), 1.0),
    "sharper": (GaussianProfile(fwhm=2.8), GaussianProfile(fwhm=3.8), 1.0),
    "fainter": (GaussianProfile(fwhm=3.8), GaussianProfile(fwhm=2.8), 0.8),
    "elongated": (
        MoffatProfile(fwhm=4, ellipticity=0.15),
        MoffatProfile(fwhm=3.5, ellipticity=0.15, angle=90),
        1.0,
    ),
    "varying": (
        VaryingProfile(middle=MoffatProfile(fwhm=4)),
        VaryingProfile(middle=MoffatProfile(fwhm=3.3), fwhm_slope=(-0.05, 0.05)),
        1.0,
    ),
}
SNR = 50.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Sky:
    """A pair of exposures and the differences that both subtractors make of it."""

    science: Exposure
    template: Exposure
    places: np.ndarray
    flux: float
    profiles: tuple
    scale: float
    proper: Difference
    matched: Difference

    def ideal_error(self, x, y):
        variances = (SCIENCE_NOISE / self.scale) ** 2, TEMPLATE_NOISE**2
        return ideal_flux_error(*self.stamps(x, y), *variances)

    def stamps(self, x, y):
        return [p.at(x, y, SHAPE).stamp() for p in self.profiles]

    def significance_at_sources(self, score):
        column, row = np.rint(self.places).astype(int).T
        return score[row, column]


@pytest.fixture(scope="module", params=list(SCENES))
def sky(request):
    *profiles, scale = SCENES[request.param]
    middle = [p.at(552, 552, SHAPE).stamp() for p in profiles]
    variances = (SCIENCE_NOISE / scale) ** 2, TEMPLATE_NOISE**2
    flux = SNR * ideal_flux_error(*middle, *variances)
    places = lonely_places(profiles)
    sources = [PointSource(x, y, flux) for x, y in places.tolist()]
    science = FIELD.add(*sources).observe(
        profile=profiles[0], noise=SCIENCE_NOISE, seed=2, flux_scale=scale
    )
    template = FIELD.observe(profile=profiles[1], noise=TEMPLATE_NOISE, seed=1)
    return Sky(
        science=science,
        template=template,
        places=places,
        flux=flux,
        profiles=tuple(profiles),
        scale=scale,
        proper=ZogySubtractor(scatter_floor=0).subtract(science, template),
        matched=AlardLuptonSubtractor().subtract(science, template),
    )


def lonely_places(profiles):
    """Return places on a grid where stars are below a quarter of the noise."""
    rng = np.random.default_rng(6)
    places = np.mgrid[40:1070:48, 40:1070:48].reshape(2, -1).T[:, ::-1]
    places = places + rng.uniform(-0.5, 0.5, places.shape)
    column, row = np.rint(places).astype(int).T
    light = sum(FIELD.render(p) for p in profiles)
    return places[light[row, column] < SCIENCE_NOISE / 4]


def test_significance_agrees(sky):
    white = WhiteningDecorrelator().decorrelate(sky.matched, sky.science, sky.template)
    assert white.noise is Noise.WHITE
    ours = sky.significance_at_sources(sky.proper.score)
    theirs = sky.significance_at_sources(significance(white, exclude=UNUSABLE))
    # Each of some 350 pairs of S/N 50 agrees to about 1 %.
    assert np.median(theirs / ours) == pytest.approx(1, abs=0.02)


def test_both_are_as_deep_as_can_be(sky):
    white = WhiteningDecorrelator().decorrelate(sky.matched, sky.science, sky.template)
    ideal = np.array([sky.ideal_error(*place) for place in sky.places[::10]])
    for difference, least in ((sky.proper, 0.985), (white, 0.98)):
        found = forced_flux(difference, *sky.places.T, exclude=UNUSABLE)
        to_template = 1 if difference.flux_scale == "template" else sky.scale
        depth = ideal / (found.flux_error[::10] / to_template)
        assert np.median(depth) > least
        assert np.median(depth) < 1.01


def test_without_decorrelation_depth_is_lost_as_the_formula_says(sky):
    left = NoDecorrelator().decorrelate(sky.matched, sky.science, sky.template)
    usable = ~UNUSABLE.in_mask(left.mask)
    filtered = convolve_varying(
        np.where(usable, left.image, 0),
        lambda x, y: left.psf.centred_at(x, y)[::-1, ::-1],
        left.psf.shape,
        cell=64,
    ) / predicted_noise(sky, left)
    light = sum(FIELD.render(p) for p in sky.profiles)
    blank = (light < SCIENCE_NOISE / 4) & (left.mask == 0)
    for column, row in np.rint(sky.places).astype(int):
        blank[row - 20 : row + 21, column - 20 : column + 21] = False
    # Some 15,000 independent values know it to 0.6 %.
    assert filtered[blank].std() == pytest.approx(1, abs=0.01)


def predicted_noise(sky, difference):
    """Return the noise of the filtered difference from the true PSFs, on all pixels."""
    nodes = np.linspace(0, SHAPE[0] - 1, 6)
    noise = [[filtered_noise(sky, difference, x, y) for x in nodes] for y in nodes]
    pixels = np.arange(SHAPE[0])
    return RectBivariateSpline(nodes, nodes, noise)(pixels, pixels)


def filtered_noise(sky, difference, x, y):
    """Return the noise at a position.

    Images of PSFs P_n and P_r were brought to the PSF P: the noise power is
    s |P / P_n|^2 + F^2 t |P / P_r|^2, of which the filter P passes |P|^2.
    """
    side = 129
    psf, of_science, of_template = (
        np.abs(fft.fft2(stamp, s=(side, side)))
        for stamp in (difference.psf.centred_at(x, y), *sky.stamps(x, y))
    )
    floor = 1e-5
    power = (SCIENCE_NOISE * psf / np.maximum(of_science, floor)) ** 2
    power += (sky.scale * TEMPLATE_NOISE * psf / np.maximum(of_template, floor)) ** 2
    noise = np.sqrt(np.mean(power * psf**2))
    return noise if difference.flux_scale == "science" else noise / sky.scale
