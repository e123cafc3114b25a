"""Differences of two images that were both convolved: the interface of `Difference`."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy import fft

from streamdiff.errors import PluginContractError
from streamdiff.imaging.convolve import convolve, convolve_matching
from streamdiff.imaging.field_image import field_image
from streamdiff.imaging.point_source import forced_flux
from streamdiff.model import (
    UNUSABLE,
    ConstantPsf,
    Convolved,
    Difference,
    Exposure,
    ExposureId,
    FluxScale,
    MaskPlane,
    MatchingKernel,
    Noise,
)
from streamdiff.testing import (
    GaussianProfile,
    PointSource,
    Scene,
    ideal_flux_error,
)
from streamdiff.testing.figures import autocorrelation
from streamdiff_decorrelation import WhiteningDecorrelator

SCIENCE, TEMPLATE = GaussianProfile(fwhm=4.0), GaussianProfile(fwhm=3.0)
KERNEL_SUM = 0.8
SHAPE = (1104, 1104)
# The filters, and what lies beyond the border, reach so far into the image.
MARGIN = 40


def centred_transform(stamp, side):
    grid = np.zeros((side, side))
    ky, kx = stamp.shape
    grid[:ky, :kx] = stamp
    return fft.fft2(np.roll(grid, (-(ky // 2), -(kx // 2)), (0, 1)))


def matching_stamp(science_kernel, science_psf, template_psf, side=41):
    """Return the kernel that brings the template to the convolved science image."""
    kernel, science, template = (
        centred_transform(s, 129) for s in (science_kernel, science_psf, template_psf)
    )
    seen = np.abs(template) > 1e-8
    ratio = np.where(seen, kernel * science / np.where(seen, template, 1), 0)
    stamp = fft.fftshift(fft.ifft2(ratio).real)
    cut = (129 - side) // 2
    stamp = stamp[cut:-cut, cut:-cut]
    return stamp / stamp.sum()


@dataclass(frozen=True)
class Pair:
    """Two white images, and the kernel that the science image is convolved with."""

    science_kernel: np.ndarray
    science_psf: np.ndarray
    template_psf: np.ndarray
    science_variance: float = 1.0
    template_variance: float = 1.0
    flux_scale: FluxScale = FluxScale.SCIENCE
    background: np.ndarray | None = None

    @property
    def unit(self):
        return 1.0 if self.flux_scale is FluxScale.SCIENCE else 1 / KERNEL_SUM

    @property
    def variance(self):
        science, template = self.science_variance, self.template_variance
        return self.unit**2 * (science + KERNEL_SUM**2 * template)

    def observe(self, *, shape=SHAPE, seed=1, static=(), change=(), noise=1.0):
        rng = np.random.default_rng(seed)
        stars, changes = (
            Scene(sources=tuple(s), shape=shape) for s in (static, change)
        )
        skies = (
            KERNEL_SUM * stars.render(SCIENCE) + changes.render(SCIENCE),
            stars.render(TEMPLATE),
        )
        return [
            Exposure(
                id=ExposureId(instrument="test", visit=1, detector=0, band="r"),
                image=sky + noise * rng.normal(0, np.sqrt(variance), shape),
                variance=np.full(shape, variance),
                mask=np.zeros(shape),
                wcs=stars.wcs,
                psf=ConstantPsf(psf),
            )
            for sky, variance, psf in (
                (skies[0], self.science_variance, self.science_psf),
                (skies[1], self.template_variance, self.template_psf),
            )
        ]

    def subtract(self, science, template):
        stamp = matching_stamp(self.science_kernel, self.science_psf, self.template_psf)
        kernel = MatchingKernel(
            basis=KERNEL_SUM * stamp[np.newaxis],
            coefficients=np.ones((1, 1)),
            image_shape=science.shape,
        )
        image = convolve(science.image, self.science_kernel, border="mirror")
        image -= convolve_matching(template.image, kernel, border="mirror")
        if self.background is not None:
            image -= field_image(self.background, science.shape)
        whole = Difference(
            id=science.id,
            image=image,
            variance=np.ones(science.shape),
            mask=science.mask | template.mask,
            psf=science.psf,
            wcs=science.wcs,
            flux_scale=FluxScale.SCIENCE,
            kernel_sum=KERNEL_SUM,
            convolved=Convolved.BOTH,
            noise=Noise.CORRELATED,
            matching_kernel=kernel,
            science_kernel=self.science_kernel,
            background=self.background,
        )
        return whole.on_scale(self.flux_scale)

    def whiten(self, *, score=False, **observing):
        science, template = self.observe(**observing)
        difference = self.subtract(science, template)
        decorrelator = WhiteningDecorrelator(score=score)
        return decorrelator.decorrelate(difference, science, template)


def stamp_of(profile, side=31):
    stamp = profile.stamp(size=side)
    return stamp / stamp.sum()


SCIENCE_STAMP, TEMPLATE_STAMP = stamp_of(SCIENCE), stamp_of(TEMPLATE)


def pair(science_kernel=SCIENCE_STAMP[::-1, ::-1], **options):
    return Pair(science_kernel, SCIENCE_STAMP, TEMPLATE_STAMP, **options)


def with_equal_psfs(**options):
    """Return images of one PSF, brought to a common, wider one."""
    kernel = stamp_of(GaussianProfile(fwhm=2.5))
    return Pair(kernel, SCIENCE_STAMP, SCIENCE_STAMP, **options)


PAIRS = {
    "preconvolved": pair(),
    "preconvolved_noisy_template": pair(
        template_variance=4.0, flux_scale=FluxScale.TEMPLATE
    ),
    "common": with_equal_psfs(science_variance=2.0),
}


@pytest.fixture(scope="module", params=PAIRS.values(), ids=PAIRS.keys())
def whitened(request):
    return request.param, request.param.whiten()


def inner(plane):
    return plane[MARGIN:-MARGIN, MARGIN:-MARGIN]


def test_pixel_variance_is_the_sum_of_both(whitened):
    case, difference = whitened
    # 1 Mpx know the variance to 0.14 %.
    assert inner(difference.image).var() == pytest.approx(case.variance, rel=0.01)


def test_variance_plane_is_the_sum_of_both(whitened):
    case, difference = whitened
    ratio = inner(difference.variance) / case.variance
    assert np.abs(ratio - 1).max() < 0.01


def test_neighbouring_pixels_are_uncorrelated(whitened):
    _, difference = whitened
    blank = np.zeros(difference.shape, bool)
    inner(blank)[:] = True
    # 1 Mpx know a correlation to 0.001.
    assert np.abs(autocorrelation(difference, blank, 10)).max() <= 0.02


def test_depth_is_that_of_the_optimal_difference(whitened):
    case, difference = whitened
    psf = difference.psf.centred_at(0, 0)
    error = np.sqrt(np.median(difference.variance) / np.sum(psf**2))
    ideal = case.unit * ideal_flux_error(
        case.science_psf,
        case.template_psf,
        case.science_variance,
        KERNEL_SUM**2 * case.template_variance,
    )
    assert ideal / error == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("case", PAIRS.values(), ids=PAIRS.keys())
def test_noise_free_flux_of_a_change_is_kept(case):
    change = [PointSource(63.3, 64.8, 1e6)]
    difference = case.whiten(shape=(128, 128), change=change, noise=0.0)
    found = forced_flux(difference, [63.3], [64.8], exclude=UNUSABLE)
    assert found.flux == pytest.approx(case.unit * 1e6, rel=0.002)


def test_static_star_is_gone():
    star = PointSource(64.3, 63.6, 1e6)
    left = pair().whiten(shape=(129, 129), static=[star], noise=0.0)
    peak = 1e6 * left.psf.centred_at(0, 0).max()
    assert np.abs(left.image).max() < 3e-3 * peak


def test_background_is_not_in_the_result():
    background = np.array([30.0, 5.0, -3.0])
    case = pair(background=background, flux_scale=FluxScale.TEMPLATE)
    science, template = case.observe(shape=(256, 256), noise=0.0)
    science = replace(science, image=field_image(background, science.shape))
    whole = case.subtract(science, template)
    white = WhiteningDecorrelator().decorrelate(whole, science, template)
    # A filter of sum 1 leaves a slope as it is, but near the border.
    assert np.abs(inner(white.image)).max() < 0.05


def test_kernel_of_one_pixel_gives_what_the_convolved_template_gives():
    delta = np.zeros((3, 3))
    delta[1, 1] = 1
    case = pair(science_kernel=delta)
    science, template = case.observe(shape=(256, 256))
    both = case.subtract(science, template)
    alone = replace(both, convolved=Convolved.TEMPLATE, science_kernel=None)
    first, second = (
        WhiteningDecorrelator().decorrelate(d, science, template) for d in (both, alone)
    )
    assert np.abs(first.image - second.image).max() < 0.01
    assert np.abs(first.variance / second.variance - 1).max() < 1e-3


def test_score_is_the_likelihood_image_over_its_sigma():
    # An asymmetric PSF: a likelihood image is correlated with it, not convolved.
    stamp = stamp_of(GaussianProfile(fwhm=3.6))
    psf = 0.8 * stamp + 0.2 * np.roll(stamp, (1, 2), (0, 1))
    case = Pair(psf[::-1, ::-1], psf, TEMPLATE_STAMP, template_variance=0.5)
    side = 256
    science, template = case.observe(shape=(side, side))
    difference = case.subtract(science, template)
    score = (
        WhiteningDecorrelator(score=True)
        .decorrelate(difference, science, template)
        .score
    )
    # LSST's likelihood mode: conj(P) corr and kappa corr, on the whole image.
    kernel = difference.matching_kernel.at(0, 0)
    p, kappa = (centred_transform(s, side) for s in (psf, kernel))
    s, t = case.science_variance, case.template_variance
    power = np.maximum(np.abs(p) ** 2, 1e-10)
    corr = (s + t * KERNEL_SUM**2) / (s + t * np.abs(kappa) ** 2 / power)
    of_science, of_template = np.conj(p) * corr, kappa * corr
    likelihood = fft.ifft2(
        of_science * fft.fft2(science.image) - of_template * fft.fft2(template.image)
    ).real
    variance = np.mean(s * np.abs(of_science) ** 2 + t * np.abs(of_template) ** 2)
    error = inner(score) - inner(likelihood / np.sqrt(variance))
    assert error.std() < 0.01


def test_score_is_left_to_the_source_finder_by_default():
    assert pair().whiten(shape=(64, 64)).score is None


def test_masked_pixels_leave_no_trace_around_them():
    case = pair()
    science, template = case.observe(shape=(128, 128))
    image, mask = science.image.copy(), science.mask.copy()
    image[40, 40], mask[40, 40] = 1e6, MaskPlane.CR
    image[60:70, 60:70], mask[60:70, 60:70] = np.nan, MaskPlane.NO_DATA
    damaged = replace(science, image=image, mask=mask)
    whole = case.subtract(science, template)
    white = WhiteningDecorrelator().decorrelate(
        replace(whole, mask=mask), damaged, template
    )
    no_data = MaskPlane.NO_DATA.in_mask(white.mask)
    assert no_data.sum() == 100
    assert (white.image[no_data] == 0).all()
    assert np.isposinf(white.variance[no_data]).all()
    assert np.abs(white.image).max() < 6 * np.sqrt(case.variance)


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (17, 40)])
def test_small_images_are_whitened(shape):
    assert pair().whiten(shape=shape).shape == shape


@pytest.mark.parametrize(
    "contradiction",
    [
        {"science_kernel": None},
        {"convolved": Convolved.TEMPLATE},
        {"matching_kernel": None},
        {"convolved": Convolved.NONE, "science_kernel": None},
    ],
    ids=str,
)
def test_kernels_that_contradict_what_was_convolved_are_a_contract_error(
    contradiction,
):
    case = pair()
    science, template = case.observe(shape=(32, 32))
    difference = replace(case.subtract(science, template), **contradiction)
    with pytest.raises(PluginContractError, match=r"kernel.*decorrelate to .none."):
        WhiteningDecorrelator().decorrelate(difference, science, template)
