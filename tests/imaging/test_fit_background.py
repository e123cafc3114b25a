"""The smooth part of a difference."""

import numpy as np
import pytest

from streamdiff.imaging.field_image import field_image
from streamdiff.imaging.fit_background import fit_background
from streamdiff.model.field import n_field_terms

SHAPE = (520, 600)
TRUE = np.array([5.0, -3.0, 2.0, 1.0, 0.5, -1.5])
EVERYWHERE = np.ones(SHAPE, bool)


def noisy(coefficients, sigma=10.0):
    noise = np.random.default_rng(1).normal(0, sigma, SHAPE)
    return (field_image(coefficients, SHAPE) + noise).astype(np.float32)


def test_polynomial_is_found():
    found = fit_background(noisy(TRUE), EVERYWHERE, 2)
    # 72 boxes whose medians have an error of 0.2 each.
    error = field_image(found - TRUE, SHAPE)
    assert np.sqrt(np.mean(error**2)) < 0.2 * np.sqrt(len(TRUE) / 72) * 2


def test_boxes_full_of_other_things_do_not_count():
    plane = noisy(TRUE)
    plane[100:200, 100:250] += 500
    error = field_image(fit_background(plane, EVERYWHERE, 2) - TRUE, SHAPE)
    # 12 of 72 boxes are lost to it, some of them in part.
    assert np.sqrt(np.mean(error**2)) < 0.5


def test_unusable_pixels_do_not_count():
    plane, usable = noisy(TRUE), EVERYWHERE.copy()
    plane[:, 300:340] = np.nan
    usable[:, 300:340] = False
    error = field_image(fit_background(plane, usable, 2) - TRUE, SHAPE)
    assert np.sqrt(np.mean(error**2)) < 0.2


@pytest.mark.parametrize(("side", "order"), [(64, 0), (200, 1), (300, 2)])
def test_small_images_have_a_lower_order(side, order):
    plane = np.ones((side, side), np.float32)
    found = fit_background(plane, np.ones(plane.shape, bool), 2)
    assert len(found) == n_field_terms(order)
    assert found[0] == pytest.approx(1)


def test_without_a_usable_pixel_there_is_none():
    assert (fit_background(noisy(TRUE), ~EVERYWHERE, 2) == [0]).all()
