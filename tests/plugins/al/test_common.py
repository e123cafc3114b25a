"""Subtraction of images whose PSFs are elongated along different axes."""

from dataclasses import replace

import numpy as np
import pytest

from streamdiff.imaging.convolve import convolve, convolve_matching
from streamdiff.imaging.field_image import field_image
from streamdiff.imaging.point_source import forced_flux
from streamdiff.model import (
    UNUSABLE,
    Convolved,
    Difference,
    FluxScale,
    MaskPlane,
    Noise,
    PolynomialPsf,
    Reason,
    Skip,
)
from streamdiff.testing import (
    MoffatProfile,
    PointSource,
    Scene,
    SkyGradient,
    VaryingProfile,
)
from streamdiff.testing.figures import noise_ratio, star_residuals
from streamdiff_al import AlardLuptonSubtractor, Direction
from streamdiff_decorrelation import WhiteningDecorrelator

NOISE, SCALE, SIDE = 10.0, 0.8, 1024
ALONG, ACROSS = (
    MoffatProfile(fwhm=4.0, ellipticity=0.15, angle=angle) for angle in (30, 120)
)
FIELD = Scene.star_field(shape=(SIDE, SIDE), seed=3)
SMALL = Scene.star_field(shape=(384, 384), density_per_mpx=4000, seed=5)
# Of peak S/N 50.
BRIGHT = 15_000.0
NEW = [
    PointSource(x, y, BRIGHT)
    for x in np.arange(60.3, SIDE - 50, 101)
    for y in np.arange(60.6, SIDE - 50, 101)
]


def subtract(science, template, direction=Direction.AUTO, **options):
    subtractor = AlardLuptonSubtractor(direction=direction, **options)
    difference = subtractor.subtract(science, template)
    assert isinstance(difference, Difference)
    return difference


def bright(scene):
    """Return x and y of the stars of peak S/N above 50."""
    stars = [(s.x, s.y) for s in scene.sources if s.flux > BRIGHT]
    x, y = np.array(stars).T
    inside = (np.abs(2 * x / scene.shape[1] - 1) < 0.95) & (
        np.abs(2 * y / scene.shape[0] - 1) < 0.95
    )
    return x[inside], y[inside]


def isolated(sources):
    """Return those without a star near them; x and y."""
    stars = np.array([(s.x, s.y) for s in FIELD.sources if s.flux > 500])
    places = np.array([(s.x, s.y) for s in sources])
    distance = np.hypot(*(places[:, np.newaxis] - stars).T).min(axis=0)
    return places[distance > 12].T


@pytest.fixture(scope="module")
def visit():
    """Return science image and template: shifted by 0.3 px, scale 0.8."""
    sky = FIELD.add(*NEW)
    # The template is shifted: so positions are those on the science image.
    template_wcs = FIELD.dithered_wcs(dx=0.3, dy=-0.2)
    science = sky.observe(profile=ALONG, noise=NOISE, seed=1, flux_scale=SCALE)
    template = FIELD.observe(profile=ACROSS, noise=NOISE / 2, seed=2, wcs=template_wcs)
    return science, template


@pytest.fixture(scope="module")
def blank():
    light = FIELD.add(*NEW).render(MoffatProfile(fwhm=4.5))
    dark = light < NOISE / 10
    dark[:30] = dark[-30:] = dark[:, :30] = dark[:, -30:] = False
    return dark


@pytest.fixture(scope="module")
def correlated(visit):
    return subtract(*visit)


@pytest.fixture(scope="module")
def white(visit, correlated):
    return WhiteningDecorrelator().decorrelate(correlated, *visit)


def test_both_images_are_convolved(correlated):
    assert correlated.convolved is Convolved.BOTH
    assert correlated.noise is Noise.CORRELATED
    assert correlated.metrics["science_convolved"] == 1
    assert correlated.metrics["template_convolved"] == 1


def test_kernel_of_the_science_image_keeps_fluxes(correlated):
    assert correlated.science_kernel.sum() == pytest.approx(1)
    assert all(side % 2 for side in correlated.science_kernel.shape)


def test_the_matching_kernel_deconvolves_nothing(correlated):
    kernel = correlated.matching_kernel.at(SIDE / 2, SIDE / 2)
    transform = np.abs(np.fft.fft2(kernel)) / kernel.sum()
    # But for the noise of the fit at frequencies that no star shows.
    assert transform.max() < 1.02


def test_flux_scale_is_found(correlated):
    assert correlated.kernel_sum == pytest.approx(SCALE, rel=5e-3)


def test_image_is_what_its_kernels_and_background_make(visit, correlated):
    science, template = visit
    difference = correlated.on_scale(FluxScale.SCIENCE)
    expected = convolve(science.image, difference.science_kernel, border="mirror")
    expected -= convolve_matching(
        template.image, difference.matching_kernel, border="mirror"
    )
    expected -= field_image(difference.background, difference.shape)
    # Single precision of the brightest stars.
    assert difference.image == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("is_white", [False, True])
def test_variance_plane_predicts_the_scatter(is_white, correlated, white, blank):
    difference = white if is_white else correlated
    # 5e5 white pixels know it to 0.1 %; correlated over 20 px, to 0.4 %.
    assert noise_ratio(difference, blank) == pytest.approx(1, abs=0.01)


def test_static_stars_subtract_to_the_noise(white, blank):
    residuals = star_residuals(white, *bright(FIELD)) / noise_ratio(white, blank)
    assert np.nanmedian(residuals) <= 1.05


@pytest.mark.parametrize("is_white", [False, True])
def test_fluxes_of_new_sources_are_unbiased(is_white, correlated, white):
    difference = white if is_white else correlated
    x, y = isolated(NEW)
    flux = forced_flux(difference, x, y, exclude=UNUSABLE).flux
    # Of S/N 150, on the scale of the template; some 70 of them know it to 0.1 %.
    assert np.mean(flux) / NEW[0].flux == pytest.approx(1, abs=5e-3)


def test_psf_is_that_of_the_science_image_after_its_convolution(visit, correlated):
    stamp = correlated.psf.centred_at(300, 300)
    own = visit[0].psf.centred_at(300, 300)
    margin = (stamp.shape[0] - own.shape[0]) // 2
    expected = convolve(np.pad(own, margin), correlated.science_kernel)
    assert stamp == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    "direction", [Direction.TEMPLATE, Direction.SCIENCE, Direction.COMMON]
)
def test_background_says_what_was_subtracted(direction):
    sky = SkyGradient(level=40.0, slope_x=0.03)
    science = SMALL.observe(
        profile=ALONG, noise=NOISE, seed=1, flux_scale=SCALE, artifacts=(sky,)
    )
    template = SMALL.observe(profile=ACROSS, noise=NOISE / 2, seed=2)
    difference = subtract(science, template, direction).on_scale(FluxScale.SCIENCE)
    background = field_image(difference.background, difference.shape)
    truth, mask = np.zeros(science.shape), np.zeros(science.shape, np.int32)
    sky.add(truth, mask, np.random.default_rng(0))
    # Some 1e4 fitted pixels around the stars know it to 0.1, and less at the border.
    assert background == pytest.approx(truth, abs=3)
    assert np.mean(background - truth) == pytest.approx(0, abs=0.5)


def test_without_a_background_none_is_said():
    science = SMALL.observe(profile=ALONG, noise=NOISE, seed=1)
    template = SMALL.observe(profile=ACROSS, noise=NOISE / 2, seed=2)
    assert subtract(science, template, subtract_background=False).background is None


def test_varying_psfs_are_matched():
    profile = VaryingProfile(middle=MoffatProfile(fwhm=4.0))
    science = FIELD.observe(profile=profile, noise=NOISE, seed=1)
    template = FIELD.observe(profile=profile.middle, noise=NOISE / 2, seed=2)
    difference = subtract(science, template)
    assert difference.convolved is Convolved.BOTH
    white = WhiteningDecorrelator().decorrelate(difference, science, template)
    # 76 stars of 81 px know the median to 0.012.
    assert np.nanmedian(star_residuals(white, *bright(FIELD))) <= 1.05


def test_psfs_estimated_as_polynomials_are_smoothed():
    science = SMALL.observe(profile=ALONG, noise=NOISE, seed=1)
    template = SMALL.observe(profile=ACROSS, noise=NOISE / 2, seed=2)
    stamp = science.psf.centred_at(0, 0)
    polynomial = PolynomialPsf(
        coefficients=np.array([stamp, 0 * stamp, 0 * stamp]), image_shape=science.shape
    )
    plain = subtract(science, template).psf.centred_at(100, 100)
    psf = subtract(replace(science, psf=polynomial), template).psf
    assert psf.centred_at(100, 100) == pytest.approx(plain, abs=1e-6)


def test_masks_of_both_images_grow():
    science = SMALL.observe(profile=ALONG, noise=NOISE, seed=1)
    template = SMALL.observe(profile=ACROSS, noise=NOISE / 2, seed=2)
    masks = [np.zeros(science.shape, np.int32) for _ in range(2)]
    masks[0][100, 100] = int(MaskPlane.BAD | MaskPlane.INJECTED)
    masks[1][200, 200] = int(MaskPlane.CR)
    image = science.image.copy()
    image[150, 150] = np.nan
    difference = subtract(
        replace(science, image=image, mask=masks[0]), replace(template, mask=masks[1])
    )

    def count(plane):
        return plane.in_mask(difference.mask).sum()

    assert count(MaskPlane.BAD) > 9
    assert count(MaskPlane.CR) > 5
    assert count(MaskPlane.NO_DATA) > 9
    assert count(MaskPlane.INJECTED) == 1
    no_data = MaskPlane.NO_DATA.in_mask(difference.mask)
    assert (difference.image[no_data] == 0).all()
    assert np.isinf(difference.variance[no_data]).all()
    assert np.isfinite(difference.variance[~no_data]).all()


@pytest.mark.parametrize("direction", [Direction.COMMON, Direction.PRECONVOLVE])
@pytest.mark.parametrize("shape", [(1, 1), (5, 300), (32, 32), (97, 64)])
def test_tiny_images_are_skipped(shape, direction):
    scene = Scene(sources=(PointSource(10.0, 2.0, 1e5),), shape=shape)
    result = AlardLuptonSubtractor(direction=direction).subtract(
        scene.observe(profile=MoffatProfile(fwhm=9)), scene.observe(fwhm=3)
    )
    assert isinstance(result, Skip)
    assert result.reason is Reason.INSUFFICIENT_KERNEL_SOURCES


@pytest.mark.parametrize("direction", [Direction.COMMON, Direction.PRECONVOLVE])
@pytest.mark.parametrize("which", [0, 1])
def test_image_without_data_is_skipped(which, direction):
    exposures = [SMALL.observe(seed=1), SMALL.observe(seed=2)]
    mask = np.full(SMALL.shape, int(MaskPlane.NO_DATA), np.int32)
    exposures[which] = replace(exposures[which], mask=mask)
    result = AlardLuptonSubtractor(direction=direction).subtract(*exposures)
    assert isinstance(result, Skip)
    assert result.reason is Reason.NO_VALID_PIXELS
