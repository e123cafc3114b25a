"""The sky is found under stars, in crowds, and where there is little of it."""

import numpy as np
import pytest

from streamdiff.imaging.background import blank_pixels, sky_background

SHAPE = (256, 320)


def everything(shape=SHAPE):
    return np.zeros(shape, bool)


def star_field(n, *, seed=1, level=500.0, noise=10.0):
    rng = np.random.default_rng(seed)
    image = rng.normal(level, noise, SHAPE)
    v, u = np.indices(SHAPE)
    for _ in range(n):
        x, y = rng.uniform(0, SHAPE[1]), rng.uniform(0, SHAPE[0])
        flux = 500 / rng.uniform(0.001, 1)
        image += flux / (2 * np.pi * 4) * np.exp(-((u - x) ** 2 + (v - y) ** 2) / 8)
    return image.astype(np.float32)


def test_stars_do_not_raise_the_sky():
    # 100 stars of 16 px each hide 2 % of the pixels: a tenth of sigma is generous.
    sky = sky_background(star_field(100), everything())
    assert np.abs(np.median(sky) - 500) < 1


def test_sources_of_both_signs_do_not_move_the_sky():
    stars = star_field(400, level=0.0)
    for difference in (stars, -stars):
        sky = sky_background(difference, everything(), both_signs=True)
        assert np.abs(np.median(sky)) < 1


def test_the_sky_of_a_negative_image_is_the_negative_sky():
    image = star_field(100, level=0.0)
    sky = sky_background(image, everything(), both_signs=True)
    negative = sky_background(-image, everything(), both_signs=True)
    # The noise of a pixel is 10.
    assert negative == pytest.approx(-sky, abs=0.2)


def test_gradient_is_followed():
    v, u = np.indices(SHAPE)
    slope = (0.2 * u + 0.1 * v).astype(np.float32)
    sky = sky_background(star_field(50) + slope, everything())
    assert np.abs(sky - 500 - slope)[32:-32, 32:-32].max() < 6


def test_unusable_pixels_do_not_count():
    image = star_field(0)
    image[:100], image[100:110] = 1e6, np.nan
    unusable = everything()
    unusable[:100] = True
    assert np.abs(np.median(sky_background(image, unusable)) - 500) < 2


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (5, 70), (33, 17)])
def test_small_images_have_a_sky(shape):
    image = np.full(shape, 7, np.float32)
    assert sky_background(image, everything(shape)) == pytest.approx(np.full(shape, 7))


def test_image_without_usable_pixels_has_no_sky():
    image = np.full((20, 20), np.nan, np.float32)
    assert (sky_background(image, everything((20, 20))) == 0).all()


def test_blank_pixels_show_no_star():
    image = star_field(0) - 500
    image[100:104, 100:104] += 500
    blank = blank_pixels(image, everything())
    assert not blank[100:104, 100:104].any()
    assert blank.mean() > 0.9
