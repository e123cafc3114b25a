"""The assertions of LSST's own tests of ZOGY, their scenes made anew."""

import numpy as np
import pytest

from streamdiff.model import ConstantPsf
from streamdiff.testing import GaussianProfile, PointSource, Scene, VaryingProfile
from streamdiff_zogy import Domain, Variation, ZogySubtractor

FWHM_PER_SIGMA = np.sqrt(8 * np.log(2))
SCIENCE, TEMPLATE = (GaussianProfile(fwhm=s * FWHM_PER_SIGMA) for s in (3.3, 2.2))


def subtract(sky, variance, changed=None, seed=1, **options):
    noise = np.sqrt(variance)
    science = (changed or sky).observe(profile=SCIENCE, noise=noise, seed=seed)
    template = sky.observe(profile=TEMPLATE, noise=noise, seed=seed + 1)
    return ZogySubtractor(**options).subtract(science, template)


def clipped(values):
    values = np.ravel(values).astype(float)
    for _ in range(3):
        reach = 3 * values.std()
        values = values[np.abs(values - values.mean()) <= reach]
    return values


def field(shape, n, seed, low=50, high=30_000):
    rng = np.random.default_rng(seed)
    places = rng.uniform(25, np.array(shape[::-1]) - 25, (n, 2))
    return [
        PointSource(*p, f)
        for p, f in zip(places.tolist(), rng.uniform(low, high, n), strict=True)
    ]


def test_empty_sky_has_the_expected_noise_and_nothing_significant():
    difference = subtract(Scene(shape=(256, 256)), 100)
    inner = np.s_[25:-25, 25:-25]
    assert clipped(difference.image[inner]).var() == pytest.approx(200, rel=0.1)
    assert difference.variance[inner].mean() == pytest.approx(200, rel=0.05)
    assert np.abs(difference.score[inner]).max() < 5


def test_source_brighter_by_a_tenth_is_significant():
    stars = field((256, 256), 10, seed=1)
    brightest = max(stars, key=lambda s: s.flux)
    more = PointSource(brightest.x, brightest.y, brightest.flux / 10)
    sky = Scene(shape=(256, 256), sources=tuple(stars))
    assert subtract(sky, 10, changed=sky.add(more)).score.max() > 5


@pytest.fixture(scope="module")
def both_domains():
    stars = tuple(field((255, 257), 10, seed=666))
    sky = Scene(shape=(255, 257), sources=stars)
    options = {"sigma_x": 0.1, "sigma_y": 0.1}
    return [subtract(sky, 100, seed=666, domain=d, **options) for d in Domain]


def test_fourier_and_image_space_make_the_same_difference(both_domains):
    means = [d.variance.mean() for d in both_domains]
    assert means[0] == pytest.approx(means[1], rel=0.001)
    pixels = [clipped(d.image) for d in both_domains]
    variances = [p.var() for p in pixels]
    assert variances[0] == pytest.approx(variances[1], rel=0.001)
    # 65,000 clipped pixels know a variance to 0.6 %, and lose 3.1 % of it.
    assert variances == pytest.approx([0.969 * 200] * 2, rel=0.02)
    assert all(abs(p.mean()) < 0.06 * 5 for p in pixels)
    sigma = np.sqrt(both_domains[0].variance)
    first, second = (d.image / sigma for d in both_domains)
    # Sums leave out what is a thousandth of the filters beyond their reach.
    assert np.abs(first - second).max() < 0.01 * np.abs(first).max()


def test_fourier_and_image_space_make_the_same_corrected_score(both_domains):
    first, second = (d.score for d in both_domains)
    # 1 % of a detection at 5 sigma.
    assert np.abs(first - second).max() < 0.05


@pytest.fixture(scope="module")
def whole_and_cells():
    sky = Scene(shape=(256, 256), sources=tuple(field((256, 256), 10, seed=5)))
    science = sky.observe(profile=SCIENCE, noise=10, seed=1)
    template = sky.observe(profile=TEMPLATE, noise=10, seed=2)
    stamp = template.psf.stamp
    template = template.with_psf(ConstantPsf(np.pad(stamp, ((2, 2), (5, 5)))))
    return [
        ZogySubtractor(variation=v, sigma_x=0.1, sigma_y=0.1).subtract(
            science, template
        )
        for v in (Variation.CONSTANT, Variation.CELLS)
    ]


def test_cells_and_whole_image_agree_for_psfs_of_unequal_shape(whole_and_cells):
    whole, cells = whole_and_cells
    sigma = np.sqrt(whole.variance)
    assert np.abs(whole.score - cells.score).max() < 0.01
    # Of stars whose peaks are 40 sigma.
    assert np.abs((whole.image - cells.image) / sigma).max() < 0.02
    assert cells.variance == pytest.approx(whole.variance, rel=0.01)


def test_every_pixel_belongs_to_the_cells_once():
    # A constant passes filters that vary, and weights that sum to 1, unchanged.
    profile = VaryingProfile(middle=SCIENCE)
    sky = Scene(shape=(200, 300))
    science = sky.observe(profile=profile, noise=1e-3, seed=1)
    science = type(science)(
        id=science.id,
        image=science.image + 100,
        variance=science.variance,
        mask=science.mask,
        wcs=science.wcs,
        psf=science.psf,
    )
    template = sky.observe(profile=TEMPLATE, noise=1e-3, seed=2)
    difference = ZogySubtractor(subtract_background=False).subtract(science, template)
    # What blocks lose of the power of filters is 1e-6: 1e-3 of an amplitude.
    assert difference.image == pytest.approx(100, abs=0.1)
