from dataclasses import replace

import numpy as np
import pytest

from streamdiff.errors import SubtractionError
from streamdiff.model import Reason, Skip
from streamdiff.testing import GaussianProfile, PointSource, Scene
from streamdiff_al import AlardLuptonSubtractor
from streamdiff_al.basis import alard_lupton_basis
from streamdiff_al.psf_match import match_psfs

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
