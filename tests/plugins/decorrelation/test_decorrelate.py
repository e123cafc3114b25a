from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy import fft, signal

from streamdiff.errors import PluginContractError, SubtractionError
from streamdiff.imaging.convolve import convolve_matching
from streamdiff.imaging.point_source import forced_flux
from streamdiff.model import (
    UNUSABLE,
    Convolved,
    Difference,
    Exposure,
    ExposureId,
    FluxScale,
    GridPsf,
    MaskPlane,
    MatchingKernel,
    Noise,
    PolynomialPsf,
)
from streamdiff.testing import GaussianProfile, PointSource, Scene, ideal_flux_error
from streamdiff_decorrelation import (
    NoDecorrelator,
    VariancePlane,
    WhiteningDecorrelator,
)

WIDE, NARROW = 7.0, 4.5
KERNEL_FWHM = np.sqrt(WIDE**2 - NARROW**2)
# The kernel, and what lies beyond the border, reach so far into the image.
MARGIN = 40


def gaussian(fwhm, side):
    stamp = GaussianProfile(fwhm=fwhm).stamp(size=side)
    return stamp / stamp.sum()


@dataclass(frozen=True)
class Case:
    """A pair of images, one of which is convolved with a known kernel."""

    convolved: Convolved
    science_variance: float = 1.0
    template_variance: float = 1.0
    kernel_sum: float = 1.0
    flux_scale: FluxScale = FluxScale.TEMPLATE

    @property
    def scales(self):
        """Factors of science and template in the difference."""
        if self.flux_scale is FluxScale.TEMPLATE:
            return 1 / self.kernel_sum, 1.0
        return 1.0, self.kernel_sum

    @property
    def variance(self):
        of_science, of_template = self.scales
        return (
            of_science**2 * self.science_variance
            + of_template**2 * self.template_variance
        )

    @property
    def widths(self):
        if self.convolved is Convolved.TEMPLATE:
            return WIDE, NARROW
        return NARROW, WIDE

    def observe(self, *, shape=(1104, 1104), seed=1, change=()):
        science_fwhm, template_fwhm = self.widths
        science = white(science_fwhm, self.science_variance, shape, seed, change)
        template = white(template_fwhm, self.template_variance, shape, seed + 10**6)
        return science, template

    def subtract(self, science, template, kernel=None):
        is_template = self.convolved is Convolved.TEMPLATE
        total = self.kernel_sum if is_template else 1 / self.kernel_sum
        if kernel is None:
            kernel = MatchingKernel(
                basis=total * gaussian(KERNEL_FWHM, 31)[np.newaxis],
                coefficients=np.ones((1, 1)),
                image_shape=science.shape,
            )
        if is_template:
            image = science.image - convolve_matching(template.image, kernel)
            native = self.flux_scale is FluxScale.SCIENCE
            image = image if native else image / self.kernel_sum
        else:
            image = convolve_matching(science.image, kernel) - template.image
            native = self.flux_scale is FluxScale.TEMPLATE
            image = image if native else image * self.kernel_sum
        return Difference(
            id=science.id,
            image=image,
            variance=np.full(image.shape, self.variance),
            mask=science.mask | template.mask,
            psf=(science if is_template else template).psf,
            wcs=science.wcs,
            flux_scale=self.flux_scale,
            kernel_sum=self.kernel_sum,
            convolved=self.convolved,
            noise=Noise.CORRELATED,
            matching_kernel=kernel,
        )


def white(fwhm, variance, shape, seed, change=()):
    scene = Scene(sources=tuple(change), shape=shape)
    profile = GaussianProfile(fwhm=fwhm)
    noise = np.random.default_rng(seed).normal(0, np.sqrt(variance), shape)
    return Exposure(
        id=ExposureId(instrument="test", visit=seed, detector=0, band="r"),
        image=scene.render(profile) + noise,
        variance=np.full(shape, variance),
        mask=np.zeros(shape),
        wcs=scene.wcs,
        psf=profile.psf(shape),
    )


def decorrelate(case, *, options=None, **observing):
    science, template = case.observe(**observing)
    difference = case.subtract(science, template)
    decorrelator = WhiteningDecorrelator(**(options or {}))
    return decorrelator.decorrelate(difference, science, template)


def inner(plane):
    return plane[MARGIN:-MARGIN, MARGIN:-MARGIN]


CASES = [
    Case(convolved, s, t, *calibration)
    for convolved in (Convolved.TEMPLATE, Convolved.SCIENCE)
    for s, t, *calibration in (
        (1, 1),
        (1, 100),
        (1, 4, 1.7, FluxScale.TEMPLATE),
        (4, 1, 1.7, FluxScale.SCIENCE),
    )
]
every_case = pytest.mark.parametrize("case", CASES, ids=str)


@pytest.fixture(scope="module", params=CASES, ids=str)
def whitened(request):
    return request.param, decorrelate(request.param)


def test_pixel_variance_is_the_sum_of_both(whitened):
    case, difference = whitened
    # 1 Mpx know the variance to 0.14 %.
    assert inner(difference.image).var() == pytest.approx(case.variance, rel=0.01)


def test_variance_plane_is_the_sum_of_both(whitened):
    case, difference = whitened
    ratio = inner(difference.variance) / case.variance
    assert np.abs(ratio - 1).max() < 0.003


@pytest.mark.parametrize("case", CASES[:3], ids=str)
def test_without_decorrelation_pixels_vary_less_and_are_correlated(case):
    difference = case.subtract(*case.observe(shape=(592, 592)))
    image = inner(difference.image).astype(float)
    assert image.var() < 0.9 * case.variance
    if case.template_variance == 100:
        lags = [np.mean(image[:, lag:] * image[:, :-lag]) for lag in (1, 2, 3)]
        assert min(lags) > 0.2 * image.var()


@every_case
def test_variance_without_sources_is_the_same_whichever_way_it_is_made(case):
    planes = [
        decorrelate(case, shape=(192, 192), options={"variance": method}).variance
        for method in VariancePlane
    ]
    assert np.abs(planes[0] / planes[1] - 1).max() < 0.002


def test_scaled_variance_has_the_shape_of_the_planes_of_the_exposures():
    case = Case(Convolved.TEMPLATE)
    science, template = case.observe(shape=(128, 128))
    variance = template.variance.copy()
    variance[60, 60] += 1000
    template = replace(template, variance=variance)
    difference = case.subtract(science, template)
    scaled = WhiteningDecorrelator(variance=VariancePlane.SCALED)
    plane = scaled.decorrelate(difference, science, template).variance
    # The power of the filters of both images adds up to that of white noise.
    assert plane[60, 60] > 2.5
    assert plane[60, 61] == pytest.approx(2, rel=0.002)


def test_neighbouring_pixels_are_uncorrelated(whitened):
    _, difference = whitened
    image = inner(difference.image).astype(float)
    for lag in range(1, 11):
        for a, b in (
            (image[lag:], image[:-lag]),
            (image[:, lag:], image[:, :-lag]),
            (image[lag:, lag:], image[:-lag, :-lag]),
        ):
            # 1 Mpx know a correlation to 0.001.
            assert abs(np.mean(a * b) / image.var()) <= 0.02


def test_depth_is_that_of_the_optimal_difference(whitened):
    case, difference = whitened
    psf = difference.psf.centred_at(0, 0)
    error = np.sqrt(np.median(difference.variance) / np.sum(psf**2))
    of_science, of_template = case.scales
    ideal = ideal_flux_error(
        *(gaussian(fwhm, 51) for fwhm in case.widths),
        of_science**2 * case.science_variance,
        of_template**2 * case.template_variance,
    )
    assert ideal / error == pytest.approx(1, abs=0.02)


@every_case
def test_flux_of_a_change_is_kept(case):
    y, x = np.mgrid[80:1024:48, 80:1024:48] + 0.3
    change = [PointSource(u, v, 400) for u, v in zip(x.flat, y.flat, strict=True)]
    difference = decorrelate(case, change=change)
    found = forced_flux(difference, x.ravel(), y.ravel(), exclude=UNUSABLE)
    of_science, _ = case.scales
    pull = (found.flux - of_science * 400) / found.flux_error
    assert pull.mean() == pytest.approx(0, abs=4 / np.sqrt(pull.size))
    assert pull.std() == pytest.approx(1, abs=4 / np.sqrt(2 * pull.size))


@every_case
def test_noise_free_flux_is_unbiased(case):
    change = [PointSource(60.3, 64.8, 1e6)]
    difference = decorrelate(case, shape=(128, 128), change=change)
    found = forced_flux(difference, [60.3], [64.8], exclude=UNUSABLE)
    of_science, _ = case.scales
    assert found.flux == pytest.approx(of_science * 1e6, rel=0.001)


def forced_at_many(difference):
    """Return forced fluxes at 9,000 positions on blank sky, nearly independent."""
    y, x = np.mgrid[30:1080:11, 30:1080:11].reshape(2, -1) + 0.0
    return forced_flux(difference, x, y, exclude=UNUSABLE)


def test_pulls_of_many_faint_stars_are_normal(whitened):
    _, difference = whitened
    found = forced_at_many(difference)
    pull = found.flux / found.flux_error
    # 9,000 values know the std to 0.8 %.
    assert pull.size > 8000
    assert pull.std() == pytest.approx(1, abs=0.03)


def test_without_decorrelation_the_reversed_case_loses_what_the_formula_says():
    case = Case(Convolved.SCIENCE, science_variance=16)
    fluxes = [
        forced_at_many(case.subtract(*case.observe(seed=seed))).flux for seed in (3, 4)
    ]
    science, template = (gaussian(fwhm, 51) for fwhm in case.widths)
    p, kappa = (
        fft.fft2(k, s=(128, 128)) for k in (template, gaussian(KERNEL_FWHM, 31))
    )
    # What the PSF alone, a filter for white noise, lets through.
    power = 1 + 16 * np.abs(kappa) ** 2
    noise = np.sqrt(np.mean(power * np.abs(p) ** 2))
    predicted = noise / np.mean(np.abs(p) ** 2)
    ideal = ideal_flux_error(science, template, 16.0, 1.0)
    assert ideal / predicted < 0.92
    # 18,000 values know the std to 0.5 %.
    assert ideal / np.std(fluxes) == pytest.approx(ideal / predicted, abs=0.01)


def test_bright_star_keeps_its_photon_noise_to_itself():
    case = Case(Convolved.TEMPLATE)
    science, template = case.observe(shape=(128, 128))
    variance = science.variance.copy()
    variance[60:65, 60:65] += 1000
    science = replace(science, variance=variance)
    result = WhiteningDecorrelator().decorrelate(
        case.subtract(science, template), science, template
    )
    assert result.variance[62, 62] > 900
    assert result.variance[62, 85] == pytest.approx(2, rel=0.02)


def test_varying_kernel_leaves_white_noise_in_every_cell():
    case = Case(Convolved.TEMPLATE, 1, 4)
    science, template = case.observe(shape=(600, 600))
    # From a kernel of 4 px FWHM on one side to one of 7 px on the other.
    basis = np.stack([gaussian(4, 31), gaussian(7, 31)])
    coefficients = np.array([[0.5, -0.5, 0], [0.5, 0.5, 0]])
    kernel = MatchingKernel(
        basis=basis, coefficients=coefficients, image_shape=science.shape
    )
    difference = case.subtract(science, template, kernel)
    result = WhiteningDecorrelator().decorrelate(difference, science, template)
    assert isinstance(result.psf, GridPsf)
    for columns in (slice(44, 300), slice(300, 556)):
        cell = result.image[44:556, columns]
        # 131,072 px know the variance to 0.4 %.
        assert cell.var() == pytest.approx(5, rel=0.03)
        assert abs(np.mean(cell[:, 1:] * cell[:, :-1])) <= 0.03 * 5


def test_kind_of_psf_is_kept():
    case = Case(Convolved.TEMPLATE)
    science, template = case.observe(shape=(64, 64))
    difference = case.subtract(science, template)
    stamp = science.psf.stamp
    x = np.array([0.0, 63.0])
    kinds = (
        science.psf,
        PolynomialPsf(coefficients=stamp[np.newaxis], image_shape=(64, 64)),
        GridPsf(stamps=np.tile(stamp, (2, 2, 1, 1)), x=x, y=x),
    )
    results = [
        WhiteningDecorrelator()
        .decorrelate(replace(difference, psf=psf), science, template)
        .psf
        for psf in kinds
    ]
    for psf, result in zip(kinds, results, strict=True):
        assert type(result) is type(psf)
        assert result.centred_at(20, 30) == pytest.approx(
            results[0].centred_at(20, 30), abs=1e-12
        )


def test_psf_is_that_of_a_change():
    case = Case(Convolved.TEMPLATE, 1, 4)
    difference = decorrelate(case, shape=(128, 128), change=[PointSource(64, 64, 1e7)])
    psf = difference.psf.centred_at(64, 64)
    reach = psf.shape[0] // 2
    image = difference.image[64 - reach : 65 + reach, 64 - reach : 65 + reach] / 1e7
    assert image == pytest.approx(psf, abs=1e-3 * psf.max())


def test_covariance_of_a_warped_template_counts():
    case = Case(Convolved.TEMPLATE)
    science, template = case.observe(shape=(640, 640))
    weights = np.outer(*2 * [np.sinc(np.arange(-2, 4) - 0.5)])
    weights /= weights.sum()
    shifted = signal.fftconvolve(template.image, weights, mode="same")
    # A warp keeps the variance plane at that of a pixel.
    variance = np.full(template.shape, np.sum(weights**2))
    factor = 1 / np.sum(weights**2)
    template = replace(
        template, image=shifted, variance=variance, covariance_factor=factor
    )
    difference = WhiteningDecorrelator().decorrelate(
        case.subtract(science, template), science, template
    )
    assert difference.covariance_factor == science.covariance_factor
    assert inner(difference.image).var() == pytest.approx(2, rel=0.015)
    assert inner(difference.variance).mean() == pytest.approx(2, rel=0.003)


def test_masked_pixels_leave_no_trace_around_them():
    case = Case(Convolved.TEMPLATE)
    science, template = case.observe(shape=(128, 128))
    whole = case.subtract(science, template)
    image, mask = whole.image.copy(), whole.mask.copy()
    image[40, 40], mask[40, 40] = 1e6, MaskPlane.CR
    image[60:70, 60:70], mask[60:70, 60:70] = np.nan, MaskPlane.NO_DATA
    image[90, 90] = np.nan
    result = WhiteningDecorrelator().decorrelate(
        replace(whole, image=image, mask=mask), science, template
    )
    no_data = MaskPlane.NO_DATA.in_mask(result.mask)
    assert no_data.sum() == 101
    assert (result.image[no_data] == 0).all()
    assert np.isposinf(result.variance[no_data]).all()
    assert np.abs(result.image).max() < 6 * np.sqrt(2)
    assert result.mask[40, 40] == MaskPlane.CR


def test_white_difference_is_returned_unchanged():
    case = Case(Convolved.TEMPLATE)
    science, template = case.observe(shape=(32, 32))
    difference = replace(case.subtract(science, template), noise=Noise.WHITE)
    same = WhiteningDecorrelator().decorrelate(difference, science, template)
    assert same is difference


def test_none_returns_the_difference_unchanged():
    case = Case(Convolved.TEMPLATE)
    science, template = case.observe(shape=(32, 32))
    difference = case.subtract(science, template)
    assert NoDecorrelator().decorrelate(difference, science, template) is difference


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (17, 40)])
def test_small_images_are_whitened(shape):
    assert decorrelate(Case(Convolved.SCIENCE), shape=shape).shape == shape


def test_correlated_noise_without_a_kernel_is_a_contract_error():
    case = Case(Convolved.TEMPLATE)
    science, template = case.observe(shape=(32, 32))
    difference = replace(case.subtract(science, template), matching_kernel=None)
    with pytest.raises(PluginContractError, match="no matching kernel"):
        WhiteningDecorrelator().decorrelate(difference, science, template)


def test_images_without_variance_are_refused():
    case = Case(Convolved.TEMPLATE)
    science, template = case.observe(shape=(32, 32))
    blank = np.full((32, 32), np.nan)
    science, template = (replace(e, variance=blank) for e in (science, template))
    difference = case.subtract(science, template)
    with pytest.raises(SubtractionError, match="positive variance"):
        WhiteningDecorrelator().decorrelate(difference, science, template)
