from dataclasses import replace

import numpy as np
import pytest

from streamdiff.errors import SubtractionError
from streamdiff.model import Reason, Skip
from streamdiff.testing import GaussianProfile, PointSource, Scene
from streamdiff_al import AlardLuptonSubtractor
from streamdiff_al.basis import alard_lupton_basis
from streamdiff_al.psf_match import expected_kernel, match_psfs

SHAPE = (200, 220)
NEW = PointSource(110.3, 96.8, 3000)


def stars(seed):
    """A sky of its own for each seed, the middle kept free."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(15, 195, (60, 2))
    far = np.hypot(*(places - (NEW.x, NEW.y)).T) > 25
    return tuple(PointSource(x, y, 2e4) for x, y in places[far])


def test_the_kernel_of_two_gaussians_is_the_gaussian_between_them():
    # sigma^2 adds up: 1.5^2 + 2^2 = 2.5^2, and 2 is among the widths of the basis
    narrow, wide = (GaussianProfile(fwhm=2.3548 * s).psf(SHAPE) for s in (1.5, 2.5))
    basis = alard_lupton_basis(21, (1.0, 2.0, 4.0), (4, 2, 2))
    kernel = match_psfs(narrow, wide, basis, SHAPE).kernel.at(3, 4)
    v, u = np.mgrid[:21, :21] - 10
    expected = np.exp(-(u**2 + v**2) / 8)
    expected /= expected.sum()
    assert kernel.sum() == pytest.approx(1, abs=1e-9)
    # the smallest singular values are cut at 1e-5 of the largest
    assert kernel == pytest.approx(expected, abs=1e-3 * expected.max())


def spectrum_of_expected(source_sigma, target_sigma):
    """Return the spectrum of the kernel that is expected, and that of its source."""
    source, target = (
        GaussianProfile(fwhm=2.3548 * s).psf(SHAPE)
        for s in (source_sigma, target_sigma)
    )
    basis = alard_lupton_basis(21, (0.7, 1.4, 2.8), (4, 4, 2))
    kernel = np.tensordot(expected_kernel(source, target, basis, SHAPE), basis, 1)
    side = (128, 128)
    stamp = source.centred_at(100, 100)
    return tuple(np.abs(np.fft.rfft2(image, side)) for image in (kernel, stamp))


@pytest.mark.parametrize("sigmas", [(2.4, 2.4), (2.0, 2.4), (2.4, 2.0)])
def test_expected_kernel_is_right_where_stars_have_light(sigmas):
    kernel, source = spectrum_of_expected(*sigmas)
    k2 = np.add.outer(np.fft.fftfreq(128) ** 2, np.fft.rfftfreq(128) ** 2)
    truth = np.exp(2 * np.pi**2 * k2 * (sigmas[0] ** 2 - sigmas[1] ** 2))
    bright = source > 0.05
    assert kernel[0, 0] == pytest.approx(1, abs=1e-9)
    assert kernel[bright] == pytest.approx(truth[bright], rel=0.05)


def test_expected_kernel_amplifies_nothing_that_the_source_lacks():
    kernel, _ = spectrum_of_expected(2.4, 2.0)
    # At an amplitude of 1e-3 of the source the truth is 8, beyond it grows.
    assert kernel.max() < 8


@pytest.fixture
def two_skies():
    """Two calibrated images whose stars are not the same, but for a few."""
    science, template = (Scene(sources=stars(seed), shape=SHAPE) for seed in (9, 10))
    return (
        science.add(NEW).observe(fwhm=4, noise=10, seed=3),
        template.observe(fwhm=3, noise=5, seed=4),
    )


def test_where_stars_disagree_calibrated_images_are_matched_by_their_psfs(two_skies):
    difference = AlardLuptonSubtractor().subtract(*two_skies)
    assert difference.kernel_sum == pytest.approx(1)
    assert difference.metrics["n_kernel_candidates"] == 0


def test_where_stars_disagree_uncalibrated_images_are_refused(two_skies):
    science, template = (replace(image, photometric=False) for image in two_skies)
    with pytest.raises(SubtractionError, match="do the exposures show the same stars"):
        AlardLuptonSubtractor().subtract(science, template)


def test_too_few_stars_are_a_skip_even_so():
    science = Scene(sources=(NEW,), shape=SHAPE).observe(fwhm=4, noise=10, seed=3)
    template = Scene(shape=SHAPE).observe(fwhm=3, noise=5, seed=4)
    result = AlardLuptonSubtractor().subtract(science, template)
    assert isinstance(result, Skip)
    assert result.reason is Reason.INSUFFICIENT_KERNEL_SOURCES
