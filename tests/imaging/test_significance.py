from dataclasses import replace

import numpy as np
import pytest

from streamdiff.imaging.significance import significance, significances
from streamdiff.imaging.stamps import resized_stamps
from streamdiff.model import (
    Convolved,
    Difference,
    FluxScale,
    MaskPlane,
    Noise,
    PolynomialPsf,
)
from streamdiff.model.varying_psf import sample_on_grid
from streamdiff.testing import GaussianProfile, MoffatProfile, PointSource, Scene

PROFILE = MoffatProfile(fwhm=4.0, ellipticity=0.3, angle=30)


def difference(sources=(), *, noise=10.0, shape=(512, 512), profile=PROFILE):
    exposure = Scene(sources=sources, shape=shape).observe(
        noise=noise, profile=profile, seed=3
    )
    return Difference(
        id=exposure.id,
        image=exposure.image,
        variance=exposure.variance,
        mask=exposure.mask,
        psf=exposure.psf,
        wcs=exposure.wcs,
        flux_scale=FluxScale.TEMPLATE,
        kernel_sum=1.0,
        convolved=Convolved.NONE,
        noise=Noise.WHITE,
    )


def test_source_has_the_significance_of_the_ideal_filter():
    image = difference([PointSource(100, 120, 1e5)], noise=1e-2)
    score = significance(image, exclude=MaskPlane.BAD)
    psf = image.psf.centred_at(100, 120)
    expected = 1e5 * np.sqrt(np.sum(psf**2)) / 1e-2
    # The stamp of the PSF is cut where the wings of the source go on.
    assert score[120, 100] == pytest.approx(expected, rel=0.01)
    assert np.unravel_index(score.argmax(), score.shape) == (120, 100)


def test_noise_that_varies_over_the_image_has_unit_significance():
    shape = (1024, 1024)
    noise = np.broadcast_to(np.linspace(5, 50, shape[1]), shape)
    score = significance(difference(noise=noise, shape=shape), exclude=MaskPlane.BAD)
    for half in (score[:, :512], score[:, 512:]):
        # 50 px are one independent value: 10,500 of them know a std to 0.7 %.
        assert half.std() == pytest.approx(1, abs=0.021)


def test_excluded_pixels_leave_unit_significance():
    whole = difference()
    rng = np.random.default_rng(1)
    bad = rng.random(whole.shape) < 0.2
    image = np.where(bad, 1e6, whole.image)
    mask = np.where(bad, MaskPlane.BAD, 0)
    score = significance(replace(whole, image=image, mask=mask), exclude=MaskPlane.BAD)
    # A fifth of the pixels leaves few places with less than half of the PSF.
    assert np.mean(score == 0) < 0.01
    assert score.std() == pytest.approx(1, abs=0.04)


def test_pixels_without_values_take_no_part():
    whole = difference()
    image, variance = whole.image.copy(), whole.variance.copy()
    image[100, 100], image[200, 200], image[300, 300] = np.nan, np.inf, 1e9
    variance[300, 300], variance[310, 310], variance[320, 320] = 0, np.nan, np.inf
    score = significance(
        replace(whole, image=image, variance=variance), exclude=MaskPlane.BAD
    )
    assert np.isfinite(score).all()
    assert np.abs(score).max() < 6


def test_too_little_of_the_psf_has_no_significance():
    image = difference(shape=(64, 64), profile=GaussianProfile(fwhm=4.0))
    mask = np.zeros((64, 64))
    mask[:, :32] = MaskPlane.BAD
    score = significance(replace(image, mask=mask), exclude=MaskPlane.BAD)
    assert (score[:, :31] == 0).all()
    assert (score[1:-1, 32:63] != 0).all()


def test_covariance_factor_divides_the_significance():
    image = difference()
    factor = np.full(image.shape, 4, np.float32)
    white = significance(image, exclude=MaskPlane.BAD)
    for covariance in (4.0, factor):
        correlated = replace(image, covariance_factor=covariance)
        score = significance(correlated, exclude=MaskPlane.BAD)
        assert np.allclose(score, white / 2, rtol=1e-5)


def test_other_images_are_filtered_and_divided_alike():
    image = difference([PointSource(100, 120, 1e4)])
    other = np.where(image.image > 50, np.nan, 2 * image.image)
    exclude = MaskPlane.BAD
    both = significances(image, [other], exclude=exclude)
    doubled = replace(image, image=np.where(np.isnan(other), 0, other))
    assert np.array_equal(both[0], significance(image, exclude=exclude))
    assert np.array_equal(both[1], significance(doubled, exclude=exclude))


def polynomial(shape):
    """Return a PSF of which the width and the shape vary over the image."""
    stamps = [
        MoffatProfile(fwhm=fwhm, ellipticity=e, angle=30).psf(shape).centred_at(0, 0)
        for fwhm, e in ((4.0, 0.1), (4.5, 0.1), (4.0, 0.3))
    ]
    side = min(stamp.shape[0] for stamp in stamps)
    middle, *others = resized_each(stamps, side)
    terms = [middle, *(other - middle for other in others)]
    return PolynomialPsf(coefficients=np.array(terms), image_shape=shape)


def resized_each(stamps, side):
    return [resized_stamps(stamp[np.newaxis], side)[0] for stamp in stamps]


@pytest.mark.parametrize("kind", ["grid", "polynomial", "any"])
def test_the_filter_is_that_of_the_psf_at_each_pixel(kind):
    shape = (300, 260)
    image = difference(shape=shape)
    psf = polynomial(shape)
    if kind == "grid":
        psf = sample_on_grid(psf, shape, nodes=3)
    elif kind == "any":
        psf = Wrapped(psf)
    variance = np.random.default_rng(5).uniform(50, 150, shape)
    image = replace(image, psf=psf, variance=variance)
    score = significance(image, exclude=MaskPlane.BAD)
    half = psf.shape[0] // 2
    # The filter may be that of the middle of a block of 32 px, so that its noise is
    # another by the part of the PSF that changes over half of it.
    missing = max(change(psf, x, y, 16) for y in (100, 200) for x in (100, 200))
    for y, x in np.random.default_rng(2).integers(half, 260 - half, (100, 2)):
        here = np.s_[y - half : y + half + 1, x - half : x + half + 1]
        stamp = psf.centred_at(x, y)
        noise = np.sqrt(np.sum(image.variance[here] * stamp**2))
        exact = np.sum(image.image[here] * stamp) / noise
        assert score[y, x] == pytest.approx(exact, abs=4 * missing)


@pytest.mark.parametrize("kind", ["grid", "polynomial"])
def test_a_source_is_as_significant_as_its_own_psf_tells(kind):
    shape = (300, 260)
    psf = polynomial(shape)
    if kind == "grid":
        psf = sample_on_grid(psf, shape, nodes=3)
    image = replace(difference(shape=shape), psf=psf)
    half = psf.shape[0] // 2
    for y, x in np.random.default_rng(2).integers(half, 260 - half, (30, 2)):
        stamp = psf.centred_at(x, y)
        light = np.zeros(shape, np.float32)
        light[y - half : y + half + 1, x - half : x + half + 1] = 1e6 * stamp
        score = significance(replace(image, image=light), exclude=MaskPlane.BAD)
        exact = 1e6 * np.sqrt(np.sum(stamp**2) / image.variance[y, x])
        # Half of what is missing of the filter, squared; and its tolerance.
        missing = max(change(psf, x, y, 16), 5e-4)
        assert score[y, x] == pytest.approx(exact, rel=missing**2)


def change(psf, x, y, distance):
    """Return the part of a PSF that is another this far away, along both axes."""
    here = psf.centred_at(x, y)
    there = psf.centred_at(x + distance, y + distance)
    return np.linalg.norm(there - here) / np.linalg.norm(here)


class Wrapped:
    """A PSF of which nothing is known but its values."""

    def __init__(self, psf):
        self._psf = psf
        self.shape = psf.shape

    def centred_at(self, x, y):
        return self._psf.centred_at(x, y)

    def at(self, x, y):
        return self._psf.at(x, y)
