"""The order of the kernel's variation, chosen by the candidates."""

from dataclasses import replace

import numpy as np
import pytest

from streamdiff.model.field import field_terms, n_field_terms
from streamdiff_al.basis import alard_lupton_basis
from streamdiff_al.cutout import Cutout
from streamdiff_al.fit import SpatialModel, constant_model
from streamdiff_al.spatial_order import choose_order

SHAPE, SIDE, ORDER = (1000, 1000), 25, 4
BASIS = alard_lupton_basis(9, (0.7, 1.4), (1, 0))
N = 120


def cutout_at(x, y, coefficients, rng, noise=1.0):
    """Return a star that a kernel with these coefficients of terms has convolved."""
    half = SIDE // 2
    rows, columns = np.mgrid[y - half : y + half + 1, x - half : x + half + 1]
    terms = field_terms(columns, rows, ORDER, SHAPE)
    v, u = np.mgrid[-half : half + 1, -half : half + 1]
    star = 2000 * np.exp(-0.5 * (u**2 + v**2) / 4)
    convolved = np.array([star, 0.1 * star * u, 0.1 * star * v, 0.1 * star * u * v])
    weights = np.tensordot(coefficients, terms[: coefficients.shape[1]], 1)
    target = np.einsum("bij,bij->ij", weights, convolved)
    pixels = np.ones((SIDE, SIDE))
    return Cutout(
        terms=terms,
        target=target + noise * rng.standard_normal(pixels.shape),
        convolved=convolved,
        target_variance=pixels,
        source_variance=np.ones((SIDE + 8, SIDE + 8)),
        usable=pixels.astype(bool),
    )


def candidates(order, seed=1, noise=1.0):
    """Return candidates whose kernels vary in that order, and no less."""
    rng = np.random.default_rng(seed)
    coefficients = np.zeros((4, 15))
    coefficients[0, 0] = 1
    n_terms = (order + 1) * (order + 2) // 2
    coefficients[1:, :n_terms] = rng.choice([-0.05, 0.05], (3, n_terms))
    places = rng.integers(30, 970, (N, 2)).tolist()
    return [cutout_at(x, y, coefficients, rng, noise) for x, y in places]


def order_of(cutouts, largest=ORDER):
    model = constant_model(len(BASIS), (SIDE, SIDE))
    terms = [c.centre_terms[: n_field_terms(largest)] for c in cutouts]
    sums = [model.sums(cutout, cutout.target_variance) for cutout in cutouts]
    return choose_order(sums, np.array(terms))


@pytest.mark.parametrize("order", range(5))
def test_order_of_the_variation_is_found(order):
    cutouts = candidates(order)
    assert order_of(cutouts) == order


def test_no_more_than_the_largest_order_is_asked_for():
    cutouts = candidates(3)
    assert order_of(cutouts, 2) == 2


def test_noise_does_not_vary():
    orders = []
    for seed in range(8):
        cutouts = candidates(0, seed)
        orders.append(order_of(cutouts))
    # Akaike's criterion takes one more order by chance in a few per cent of cases:
    # chi^2 of 8 or more degrees of freedom then falls by twice their number.
    assert np.count_nonzero(orders) <= 2


def test_a_few_odd_stars_do_not_decide():
    cutouts = candidates(0)
    rng = np.random.default_rng(3)
    for number in range(5):
        odd = cutouts[number].target * (1 + 0.3 * rng.standard_normal((SIDE, SIDE)))
        cutouts[number] = replace(cutouts[number], target=odd)
    assert order_of(cutouts) == 0


def test_scale_of_the_noise_does_not_matter():
    cutouts = candidates(2, noise=2.0)
    assert order_of(cutouts) == 2


@pytest.mark.parametrize("order", [2, 4])
def test_terms_as_planes_give_the_equations_of_the_terms(order):
    model = SpatialModel(
        n_basis=4, kernel_order=order, background_order=2, image_shape=SHAPE
    )
    cutouts = candidates(order, noise=0.0)
    weights, overlaps = [c.target_variance for c in cutouts], np.eye(4)
    as_planes = model.equations(cutouts, weights, overlaps)
    # The same candidates, on an image of which a square is no small part.
    exact = replace(model, image_shape=(SIDE, SIDE)).equations(
        cutouts, weights, overlaps
    )
    # Terms bend within a square by (side / image)^2 at the most.
    scale = np.sqrt(np.outer(*(2 * [np.diag(exact.matrix)])))
    assert np.abs(as_planes.matrix - exact.matrix) / scale == pytest.approx(
        0, abs=3 * (SIDE / SHAPE[0]) ** 2 * order**2
    )
