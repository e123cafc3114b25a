"""Stars are found where they are, and measured as they are."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.wcs import WCS

from streamdiff.imaging.stars import (
    find_stars,
    known_stars,
    nearest_neighbour_distance,
    snr_at,
)
from streamdiff.model import Exposure, ExposureId, MaskPlane, StarList

NOISE = 10.0
SIGMA = 1.7


def exposure(image, mask=None) -> Exposure:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    return Exposure(
        id=ExposureId(instrument="camera", visit=1, detector=0, band="r"),
        image=image,
        variance=np.full(np.shape(image), NOISE**2),
        mask=np.zeros(np.shape(image), np.int32) if mask is None else mask,
        wcs=wcs,
    )


def gaussian(shape, x, y, flux, axis_ratio=1.0):
    v, u = np.indices(shape)
    r2 = (u - x) ** 2 + ((v - y) / axis_ratio) ** 2
    return flux * np.exp(-r2 / (2 * SIGMA**2)) / (2 * np.pi * SIGMA**2 * axis_ratio)


@pytest.fixture
def noise():
    return np.random.default_rng(3).normal(0, NOISE, (100, 120))


def test_star_is_measured_within_its_errors(noise):
    stars = find_stars(exposure(noise + gaussian(noise.shape, 40.3, 60.8, 2e4)))
    assert len(stars) == 1
    # S/N is 331: a position is known to about sigma / S/N = 0.005 px.
    assert stars.x[0] == pytest.approx(40.3, abs=0.025)
    assert stars.y[0] == pytest.approx(60.8, abs=0.025)
    assert stars.flux[0] == pytest.approx(2e4, rel=0.02)
    expected = 2e4 / np.sqrt(4 * np.pi * SIGMA**2 * NOISE**2)
    assert stars.snr[0] == pytest.approx(expected, rel=0.03)
    assert stars.fwhm[0] == pytest.approx(2.3548 * SIGMA, rel=0.02)


def test_elongation_is_that_of_the_star(noise):
    star = gaussian(noise.shape, 40, 60, 5e4, axis_ratio=1.4)
    assert find_stars(exposure(noise + star)).elongation[0] == pytest.approx(
        1.4, rel=0.03
    )


def test_the_brightest_comes_first(noise):
    sky = noise + sum(
        gaussian(noise.shape, x, 50, flux) for x, flux in [(20, 4e3), (60, 9e3)]
    )
    assert find_stars(exposure(sky)).x == pytest.approx([60, 20], abs=0.2)


def test_pure_noise_has_no_stars(noise):
    assert len(find_stars(exposure(noise))) == 0


def test_masked_star_is_left_out(noise):
    mask = np.zeros(noise.shape, np.int32)
    mask[60, 40] = MaskPlane.SAT
    star = gaussian(noise.shape, 40, 60, 2e4)
    assert len(find_stars(exposure(noise + star, mask))) == 0


def test_pixels_that_are_not_finite_do_no_harm(noise):
    image = noise + gaussian(noise.shape, 40.3, 60.8, 2e4)
    image[10:20] = np.nan
    image[60, 45] = np.inf
    stars = find_stars(exposure(image))
    assert stars.x == pytest.approx([40.3], abs=0.05)


def test_byte_order_makes_no_difference(noise):
    image = (noise + gaussian(noise.shape, 40, 60, 2e4)).astype("f4")
    there, here = find_stars(exposure(image.astype(">f4"))), find_stars(exposure(image))
    assert there.flux == pytest.approx(here.flux, rel=1e-12)


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (5, 70), (33, 17)])
@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_tiny_images_are_survived(shape, value):
    assert len(find_stars(exposure(np.full(shape, value)))) == 0


def test_at_most_so_many_stars_are_measured(noise):
    sky = noise + sum(
        gaussian(noise.shape, x, 50, flux) for x, flux in [(20, 4e3), (60, 9e3)]
    )
    assert find_stars(exposure(sky), max_stars=1).x == pytest.approx([60], abs=0.2)


def test_nearest_neighbour_is_not_the_star_itself():
    x, y = [0.0, 3.0, 10.0], [0.0, 4.0, 4.0]
    distance = nearest_neighbour_distance(x, y, x, y)
    assert distance == pytest.approx([5, 5, 7])


def test_a_lone_star_has_no_neighbour():
    assert nearest_neighbour_distance([1.0], [2.0], [1.0], [2.0]) == [np.inf]


def with_catalogue(image, x, y):
    n = len(x)
    stars = StarList(x=x, y=y, flux=np.arange(n, 0.0, -1), snr=np.ones(n))
    return replace(exposure(image), stars=stars)


def test_stars_of_a_catalogue_are_measured_as_those_that_are_found(noise):
    sky = noise + sum(
        gaussian(noise.shape, x, 50, flux) for x, flux in [(20, 4e3), (60, 9e3)]
    )
    known = known_stars(with_catalogue(sky, [60.4, 20.2], [50.2, 49.8]))
    found = find_stars(exposure(sky))
    assert known.x == pytest.approx(found.x, abs=0.02)
    assert known.flux == pytest.approx(found.flux, rel=0.01)


def test_stars_of_a_catalogue_that_are_not_there_are_left_out(noise):
    sky = noise + gaussian(noise.shape, 60, 50, 9e3)
    known = known_stars(with_catalogue(sky, [60, 20, 61, 0], [50, 30, 51, 0]))
    assert known.x == pytest.approx([60], abs=0.1)


def test_without_a_catalogue_no_star_is_known(noise):
    assert len(known_stars(exposure(noise))) == 0
    assert len(known_stars(with_catalogue(noise, [], []))) == 0


def test_signal_to_noise_ratios_are_those_of_the_stars_at_positions(noise):
    sky = noise + gaussian(noise.shape, 60, 50, 9e3)
    found = find_stars(exposure(sky))
    assert snr_at(exposure(sky), [60.3], [49.9]) == pytest.approx(found.snr, rel=0.01)
