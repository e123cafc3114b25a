"""Subtraction of a science image that was correlated with its own PSF."""

from dataclasses import replace

import numpy as np
import pytest

from streamdiff.imaging.point_source import forced_flux
from streamdiff.model import UNUSABLE, Convolved, Difference, FluxScale, MaskPlane
from streamdiff.testing import MoffatProfile, PointSource, Scene
from streamdiff_al import AlardLuptonSubtractor, Direction
from streamdiff_decorrelation import WhiteningDecorrelator

NOISE, SIDE = 10.0, 1024
FIELD = Scene.star_field(shape=(SIDE, SIDE), density_per_mpx=800, seed=4)
PLACES = np.arange(60.3, SIDE - 50, 101)
NEW = [PointSource(x, y, 15_000.0) for x in PLACES for y in PLACES]


def subtract(science, template):
    subtractor = AlardLuptonSubtractor(direction=Direction.PRECONVOLVE)
    difference = subtractor.subtract(science, template)
    assert isinstance(difference, Difference)
    return difference


def isolated(sources):
    """Return those without a star near them; x and y."""
    stars = np.array([(s.x, s.y) for s in FIELD.sources if s.flux > 500])
    places = np.array([(s.x, s.y) for s in sources])
    distance = np.hypot(*(places[:, np.newaxis] - stars).T).min(axis=0)
    return places[distance > 12].T


@pytest.fixture
def large(lsst_scene):
    return replace(lsst_scene, shape=(400, 400), n_stars=50)


@pytest.fixture(scope="module")
def visit():
    profile = MoffatProfile(fwhm=4.0, ellipticity=0.1)
    science = FIELD.add(*NEW).observe(profile=profile, noise=NOISE, seed=1)
    template = FIELD.observe(profile=MoffatProfile(fwhm=4.0), noise=NOISE, seed=2)
    return science, template


@pytest.fixture(scope="module")
def smoothed(visit):
    return subtract(*visit)


@pytest.fixture(scope="module")
def white(visit, smoothed):
    return WhiteningDecorrelator(score=True).decorrelate(smoothed, *visit)


@pytest.fixture(scope="module")
def blank():
    dark = FIELD.add(*NEW).render(MoffatProfile(fwhm=5.0)) < NOISE / 50
    dark[:40] = dark[-40:] = dark[:, :40] = dark[:, -40:] = False
    return dark


@pytest.mark.parametrize(("sigma", "noise"), [(2.4, 1.0), (2.0, 0.3), (2.8, 0.3)])
def test_noise_is_that_of_a_score(large, sigma, noise):  # A17, A18
    science, template = (
        large.observe(s, seed, noise) for s, seed in ((2.4, 6), (sigma, 7))
    )
    difference = subtract(science, template).on_scale(FluxScale.SCIENCE)
    used = ~(MaskPlane.EDGE | MaskPlane.NO_DATA).in_mask(difference.mask)
    assert np.isfinite(difference.image).all()
    assert abs(difference.image[used].mean()) <= 5 * 2 * noise / 400
    blank = used & large.blank(2.8, noise)
    # Theirs, sqrt(2 / NEA), is that of equal kernels: the template's is narrower, and
    # its noise 15 % more, where its own PSF is the wider one. They whiten before.
    kernels = difference.science_kernel, difference.matching_kernel.at(200, 200)
    expected = noise * np.sqrt(sum(np.square(k).sum() for k in kernels))
    nea = 1 / np.square(science.psf.stamp).sum()
    # 1e5 blank pixels, 70 of which are one: 2.6 %.
    assert difference.image[blank].std() == pytest.approx(expected, rel=0.08)
    assert expected == pytest.approx(np.sqrt(2 / nea) * noise, rel=0.17)


def test_equal_psfs_give_the_noise_of_two_matched_filters(large):  # A17
    science, template = (large.observe(2.4, seed) for seed in (6, 7))
    difference = subtract(science, template)
    nea = 1 / np.square(science.psf.stamp).sum()
    blank = large.blank(2.4) & ~MaskPlane.EDGE.in_mask(difference.mask)
    assert difference.image[blank].std() == pytest.approx(np.sqrt(2 / nea), rel=0.1)


def test_both_images_are_convolved(smoothed, visit):
    assert smoothed.convolved is Convolved.BOTH
    assert smoothed.metrics["preconvolved"] == 1
    expected = visit[0].psf.stamp[::-1, ::-1]
    assert smoothed.science_kernel == pytest.approx(expected)


def test_border_of_half_the_kernel_is_flagged(smoothed):
    width = smoothed.science_kernel.shape[0] // 2
    edge = MaskPlane.EDGE.in_mask(smoothed.mask)
    assert edge[:width].all()
    assert edge[:, -width:].all()
    assert not edge[width:-width, width:-width].any()


def test_smoothed_noise_rejects_no_candidates():
    scene = Scene.star_field(shape=(400, 400), density_per_mpx=1500, seed=4)
    science, template = (scene.observe(noise=NOISE, seed=seed) for seed in (1, 2))
    metrics = subtract(science, template).metrics
    assert metrics["n_kernel_rejected"] < 0.1 * metrics["n_kernel_candidates"]
    assert metrics["kernel_spatial_rms_median"] == pytest.approx(1, abs=0.1)


def test_score_of_blank_sky_has_unit_scatter(white, blank):
    # 5e5 pixels, 70 of which are one, know it to 0.8 %.
    assert white.score[blank].std(dtype=float) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("is_white", [False, True])
def test_fluxes_of_new_sources_are_unbiased(is_white, smoothed, white):
    difference = white if is_white else smoothed
    x, y = isolated(NEW)
    flux = forced_flux(difference, x, y, exclude=UNUSABLE).flux
    # Of S/N 120; some 70 of them know it to 0.1 %.
    assert np.mean(flux) / NEW[0].flux == pytest.approx(1, abs=5e-3)
