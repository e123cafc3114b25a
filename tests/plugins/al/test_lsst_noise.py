"""LSST's assertions on the noise of a difference: A1 to A5, A7 and A8."""

from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest

from streamdiff.imaging.field_image import field_image
from streamdiff.model import Difference, MaskPlane
from streamdiff_al import AlardLuptonSubtractor, Direction
from streamdiff_decorrelation import WhiteningDecorrelator

NO_STATISTICS = MaskPlane.EDGE | MaskPlane.BAD | MaskPlane.NO_DATA
# Of the science image and of the template.
NOISES = [(1, 1), (1, 0.1), (0.1, 0.1), (0.1, 1)]


def subtract(science, template, *, subtract_background=False, **options):
    """Return the difference with white noise, by default with its background.

    So it is with LSST, and the noise of what is fitted does not enter the mean.
    """
    difference = AlardLuptonSubtractor(
        subtract_background=subtract_background, **options
    ).subtract(science, template)
    assert isinstance(difference, Difference)
    return WhiteningDecorrelator().decorrelate(difference, science, template)


def used(difference):
    return ~NO_STATISTICS.in_mask(difference.mask)


def clipped_mean(values):
    """Return the mean of what is within three sigma, after three passes."""
    values = np.ravel(values).astype(float)
    for _ in range(3):
        reach = 3 * values.std()
        values = values[np.abs(values - values.mean()) <= reach]
    return values.mean()


def mean_error(difference, noise):
    """Return theirs: it is that of all pixels, those of stars among them."""
    return noise / np.sqrt(difference.image.size)


def assert_noise_is(difference, blank, noise):
    """Assert LSST's 10 %; the 3e4 blank pixels know it to 0.4 %."""
    assert np.isfinite(difference.image).all()
    blank = blank & used(difference)
    assert difference.image[blank].std(dtype=float) == pytest.approx(noise, rel=0.1)


# There are no optional planes to be missing: in these masks no bit is set.
def test_equal_images_leave_the_noise_of_both(lsst_scene):  # A1, A2
    difference = subtract(lsst_scene.observe(2.4, 6), lsst_scene.observe(2.4, 7))
    blank = lsst_scene.blank(2.4)
    assert_noise_is(difference, blank, np.sqrt(2))
    mean = difference.image[blank & used(difference)].mean(dtype=float)
    assert abs(mean) <= 5 * mean_error(difference, 1)


@pytest.fixture(
    scope="module",
    params=product(
        [(2.0, 2.4, Direction.SCIENCE), (2.4, 2.0, Direction.TEMPLATE)], NOISES
    ),
    ids=lambda case: f"{case[0][-1]}-{case[1][0]}-{case[1][1]}",
)
def whitened(lsst_scene, request):
    """Difference of which one image was convolved; blank pixels; both noises."""
    (*sigmas, direction), noises = request.param
    science, template = (
        lsst_scene.observe(sigma, seed, noise)
        for sigma, seed, noise in zip(sigmas, (6, 7), noises, strict=True)
    )
    difference = subtract(science, template, direction=direction)
    return difference, lsst_scene.blank(2.4, min(noises)), noises


def test_noise_of_a_convolved_image_is_whitened(whitened):  # A3, A4
    difference, blank, noises = whitened
    assert_noise_is(difference, blank, np.hypot(*noises))


def test_variance_plane_is_the_sum_of_both(whitened):  # A3, A4
    difference, blank, noises = whitened
    variance = difference.variance[blank & used(difference)]
    assert variance.mean(dtype=float) == pytest.approx(np.hypot(*noises) ** 2, rel=0.1)


def test_stars_leave_nothing_in_the_mean(whitened):  # A3, A4
    difference, _, noises = whitened
    mean = clipped_mean(difference.image[used(difference)])
    assert abs(mean) <= 5 * mean_error(difference, sum(noises))


def test_exchanged_images_give_the_negative(lsst_scene):  # A5
    sharp, wide = lsst_scene.observe(2.0, 6), lsst_scene.observe(2.4, 7)
    one, other = subtract(sharp, wide), subtract(wide, sharp)
    blank = lsst_scene.blank(2.4) & used(one) & used(other)
    delta = one.image[blank].astype(float) - other.image[blank]
    assert abs(delta.mean()) <= 5 * mean_error(one, 2)
    assert delta.std() == pytest.approx(2 * np.sqrt(2), rel=0.1)


def with_honest_variance(exposure, noise):
    return replace(exposure, variance=np.full_like(exposure.variance, noise**2))


# Their variance planes say 500 times the noise that is drawn on the brightest pixels.
@pytest.mark.parametrize("is_honest", [False, True])
@pytest.mark.parametrize("sigma", [2.4, 2.0, 2.8])
def test_equal_psfs_are_subtracted_as_if_there_were_no_kernel(  # A7
    lsst_scene, sigma, is_honest
):
    noise = 0.1
    science, template = (lsst_scene.observe(sigma, seed, noise) for seed in (6, 7))
    if is_honest:
        science, template = (
            with_honest_variance(e, noise) for e in (science, template)
        )
    plain = science.image - template.image
    differences = [
        subtract(science, template, direction=direction)
        for direction in (Direction.AUTO, Direction.TEMPLATE, Direction.SCIENCE)
    ]
    inner = np.logical_and.reduce([used(d) for d in differences])
    for one, other in combinations(differences, 2):
        assert np.abs(one.image - other.image)[inner].max() <= 10 * noise
    # Five sigma of what is subtracted: of one image, 6e4 pixels exceed them now and
    # then.
    for difference in differences:
        error = np.abs(difference.image - plain)[inner].max()
        assert error <= 5 * np.sqrt(2) * noise


BACKGROUND = np.array([2.2, 2.1, 2.0, 1.2, 1.1, 1.0])


def test_a_background_that_varies_is_found_and_subtracted(lsst_scene):  # A8
    scene = replace(lsst_scene, shape=(512, 512))
    science, template = scene.observe(2.0, 6), scene.observe(2.0, 7)
    sky = field_image(BACKGROUND, scene.shape)
    science = replace(science, image=science.image + sky)
    difference = subtract(science, template, subtract_background=True)
    assert difference.background == pytest.approx(BACKGROUND, rel=0.3)
    assert_noise_is(difference, scene.blank(2.0), np.sqrt(2))
