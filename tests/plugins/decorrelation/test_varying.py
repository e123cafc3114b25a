"""Kernels and noise that vary over the image."""

from dataclasses import replace

import numpy as np
import pytest

from streamdiff.imaging.convolve import convolve_matching
from streamdiff.model import (
    Convolved,
    Difference,
    Exposure,
    ExposureId,
    FluxScale,
    GridPsf,
    MaskPlane,
    MatchingKernel,
    Noise,
)
from streamdiff.testing import GaussianProfile, Scene, ideal_flux_error
from streamdiff_decorrelation import WhiteningDecorrelator
from streamdiff_decorrelation.noise_levels import noise_levels

TEMPLATE_FWHM = 3.0
SIDE, MARGIN, CELL = 1088, 32, 256


def stamp(fwhm, side=31):
    profile = GaussianProfile(fwhm=fwhm).stamp(size=side)
    return profile / profile.sum()


def kernel_fwhm(x, side=SIDE):
    """Return the width of the kernel that varies: from 2 to 4.5 px, left to right."""
    return 2 + 2.5 * np.asarray(x) / (side - 1)


def varying_kernel(side=SIDE):
    """Return the Gaussian kernel of `kernel_fwhm`, as polynomials of degree 4 in x."""
    u = np.cos(np.pi * (np.arange(5) + 0.5) / 5)
    terms = np.linalg.inv(np.polynomial.chebyshev.chebvander(u, 4))
    coefficients = np.zeros((5, 15))
    for degree in range(5):
        # The first term of each total degree is that of x alone.
        coefficients[:, degree * (degree + 1) // 2] = terms[degree]
    widths = kernel_fwhm((u + 1) / 2 * (side - 1), side)
    return MatchingKernel(
        basis=np.array([stamp(w, 25) for w in widths]),
        coefficients=coefficients,
        image_shape=(side, side),
    )


def constant_kernel(side=SIDE):
    return MatchingKernel(
        basis=stamp(3.2, 21)[np.newaxis],
        coefficients=np.ones((1, 1)),
        image_shape=(side, side),
    )


def exposure(variance, *, seed, psf=None):
    variance = np.asarray(variance, np.float32)
    scene = Scene(shape=variance.shape)
    return Exposure(
        id=ExposureId(instrument="test", visit=seed, detector=0, band="r"),
        image=np.random.default_rng(seed).normal(0, np.sqrt(variance)),
        variance=variance,
        mask=np.zeros(variance.shape),
        wcs=scene.wcs,
        psf=psf or GaussianProfile(fwhm=TEMPLATE_FWHM).psf(variance.shape),
    )


def subtract(science, template, kernel):
    return Difference(
        id=science.id,
        image=science.image - convolve_matching(template.image, kernel),
        variance=science.variance + template.variance,
        mask=science.mask | template.mask,
        psf=science.psf,
        wcs=science.wcs,
        flux_scale=FluxScale.SCIENCE,
        kernel_sum=1.0,
        convolved=Convolved.TEMPLATE,
        noise=Noise.CORRELATED,
        matching_kernel=kernel,
    )


def science_psf(side=SIDE):
    x, y = np.linspace(0, side - 1, 9), np.array([0.0, side - 1])
    row = [stamp(np.hypot(TEMPLATE_FWHM, w)) for w in kernel_fwhm(x, side)]
    return GridPsf(stamps=np.array([row, row]), x=x, y=y)


def sloping(low, high, *, side=SIDE):
    """Return a variance that grows from the first row to the last."""
    steps = np.geomspace(low, high, side)[:, np.newaxis]
    return np.broadcast_to(steps, (side, side))


def correlations(cell):
    """Return those with the neighbours 1 to 10 px away along both axes."""
    pulls = cell.astype(float)
    lags = range(1, 11)
    along_x = [np.mean(pulls[:, lag:] * pulls[:, :-lag]) for lag in lags]
    along_y = [np.mean(pulls[lag:] * pulls[:-lag]) for lag in lags]
    return np.array([*along_x, *along_y]) / pulls.var()


@pytest.fixture(scope="module")
def varying():
    """Return a difference whose kernel and ratio of noise both vary, and its cells."""
    science = exposure(np.ones((SIDE, SIDE)), seed=1, psf=science_psf())
    template = exposure(sloping(0.5, 5), seed=2)
    difference = subtract(science, template, varying_kernel())
    white = WhiteningDecorrelator().decorrelate(difference, science, template)
    expected = science.variance + template.variance
    return white, expected


def cells_of(plane):
    inner = plane[MARGIN:-MARGIN, MARGIN:-MARGIN]
    count = inner.shape[0] // CELL
    return (
        inner.reshape(count, CELL, count, CELL).swapaxes(1, 2).reshape(-1, CELL, CELL)
    )


def test_variance_of_every_cell_is_that_of_both_exposures(varying):
    white, expected = varying
    pulls = white.image / np.sqrt(expected)
    # 65,536 px know the variance to 0.55 %.
    assert np.abs(cells_of(pulls).var(axis=(1, 2)) - 1).max() <= 0.03


def test_variance_plane_of_every_cell_is_that_of_both_exposures(varying):
    white, expected = varying
    ratio = cells_of(white.variance / expected)
    assert np.abs(ratio.mean(axis=(1, 2)) - 1).max() < 0.01
    assert np.abs(ratio - 1).max() < 0.03


def test_pixels_of_every_cell_are_uncorrelated(varying):
    white, expected = varying
    for cell in cells_of(white.image / np.sqrt(expected)):
        # 65,536 px know a correlation to 0.004.
        assert np.abs(correlations(cell)).max() <= 0.03


def test_variance_has_no_seams(varying):
    white, expected = varying
    ratio = white.variance / expected
    steps = max(np.abs(np.diff(ratio, axis=axis)).max() for axis in (0, 1))
    assert steps < 2e-4


def test_depth_is_ideal_everywhere(varying):
    white, expected = varying
    for x, y in [(100, 100), (544, 544), (1000, 200), (200, 1000), (990, 990)]:
        psf = white.psf.centred_at(x, y)
        error = np.sqrt(white.variance[y, x] / np.sum(psf**2))
        width = np.hypot(TEMPLATE_FWHM, kernel_fwhm(x))
        ideal = ideal_flux_error(
            stamp(width), stamp(TEMPLATE_FWHM), 1.0, expected[y, x] - 1
        )
        assert ideal / error == pytest.approx(1, abs=0.02)


def test_one_ratio_for_the_image_leaves_some_noise_correlated(varying):
    white, expected = varying
    science = exposure(np.ones((SIDE, SIDE)), seed=1, psf=science_psf())
    template = exposure(sloping(0.5, 5), seed=2)
    difference = subtract(science, template, varying_kernel())
    decorrelator = WhiteningDecorrelator(spatially_varying=False)
    whole = decorrelator.decorrelate(difference, science, template)
    worst = [
        max(
            np.abs(correlations(c)).max() for c in cells_of(d.image / np.sqrt(expected))
        )
        for d in (white, whole)
    ]
    assert worst[1] > 2 * worst[0]
    # Its variance is honest nevertheless.
    pulls = whole.image / np.sqrt(whole.variance)
    assert np.abs(cells_of(pulls).var(axis=(1, 2)) - 1).max() <= 0.03


@pytest.mark.parametrize("kernel", [constant_kernel(512), varying_kernel(512)])
def test_constant_noise_is_whitened_as_by_one_ratio(kernel):
    science, template = (exposure(np.full((512, 512), v), seed=v) for v in (1, 4))
    difference = subtract(science, template, kernel)
    local, whole = (
        WhiteningDecorrelator(spatially_varying=v, cell=64).decorrelate(
            difference, science, template
        )
        for v in (True, False)
    )
    assert np.abs(local.image - whole.image).max() < 1e-3 * local.image.std()
    assert np.abs(local.variance / whole.variance - 1).max() < 1e-3


def test_variances_of_cells_and_of_the_whole_agree_where_they_hardly_differ():
    # Variances made from the pixels themselves scatter.
    rng = np.random.default_rng(3)
    science, template = (
        exposure(v * rng.normal(1, 0.05, (512, 512)), seed=v) for v in (1, 4)
    )
    difference = subtract(science, template, constant_kernel(512))
    local, whole = (
        WhiteningDecorrelator(spatially_varying=v, cell=64).decorrelate(
            difference, science, template
        )
        for v in (True, False)
    )
    assert np.abs(local.image - whole.image).std() < 0.03 * local.image.std()
    assert np.abs(local.variance / whole.variance - 1).max() < 0.03


def test_levels_are_those_of_blank_sky_in_each_cell():
    noise = exposure(np.repeat([[1.0], [4.0]], 128, axis=0) * np.ones(256), seed=1)
    variance, mask = noise.variance.copy(), noise.mask.copy()
    variance[:60, 20:80], mask[:60, 20:80] = 1e4, MaskPlane.DETECTED
    variance[200, 200], mask[200:210] = np.nan, MaskPlane.BAD
    changed = replace(noise, variance=variance, mask=mask, covariance_factor=1.5)
    levels = noise_levels(changed, (2, 2))
    assert levels == pytest.approx(np.array([[1.5, 1.5], [6.0, 6.0]]))


def test_cell_without_blank_sky_has_the_level_of_the_image():
    noise = exposure(np.full((256, 256), 2.0), seed=1)
    variance, mask = noise.variance.copy(), noise.mask.copy()
    variance[:128, :128], mask[:128, :128] = 50, MaskPlane.DETECTED
    crowded = replace(noise, variance=variance, mask=mask)
    assert noise_levels(crowded, (2, 2)) == pytest.approx(2)


def test_image_without_blank_sky_has_the_level_of_all_pixels():
    noise = exposure(np.full((64, 64), 2.0), seed=1)
    crowded = replace(noise, mask=np.full((64, 64), int(MaskPlane.DETECTED)))
    assert noise_levels(crowded, (2, 2)) == pytest.approx(2)


def test_range_of_the_ratio_is_reported(varying):
    white, _ = varying
    metrics = white.metrics
    # Cells of 272 rows: the mean of the first and that of the last.
    assert metrics["decorrelation_noise_ratio_min"] == pytest.approx(0.68, abs=0.02)
    assert metrics["decorrelation_noise_ratio_max"] == pytest.approx(3.81, abs=0.1)
    assert 0.68 < metrics["decorrelation_noise_ratio"] < 3.81
    assert metrics["decorrelation_noise_ratio_limited"] == 0


def test_ratio_beyond_its_limit_is_reported():
    science = exposure(np.full((64, 64), 1e-6), seed=1)
    template = exposure(np.ones((64, 64)), seed=2)
    difference = subtract(science, template, constant_kernel(64))
    white = WhiteningDecorrelator().decorrelate(difference, science, template)
    assert np.isfinite(white.image).all()
    assert white.metrics["decorrelation_noise_ratio"] == pytest.approx(1e4)
    assert white.metrics["decorrelation_noise_ratio_limited"] == 1
