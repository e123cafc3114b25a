"""Kernels that are sums of few kernels with smooth weights."""

import numpy as np
import pytest

from streamdiff.imaging.convolve import convolve, convolve_field
from streamdiff.imaging.kernel_field import KernelField, Nodes
from streamdiff.model import MatchingKernel

SHAPE = (300, 420)
NODES = Nodes.spread(SHAPE, (5, 7))


def kernel(width, side=9):
    y, x = np.mgrid[-(side // 2) : side // 2 + 1, -(side // 2) : side // 2 + 1]
    profile = np.exp(-0.5 * (x**2 + y**2) / width**2)
    return profile / profile.sum()


def varying(tolerance=1e-3):
    x, y = NODES.positions
    kernels = np.array([kernel(1 + (u + v) / 720) for u, v in zip(x, y, strict=True)])
    return KernelField.of(kernels, NODES, tolerance=tolerance)


def test_kernels_at_the_nodes_are_kept_within_the_tolerance():
    for tolerance in (1e-2, 1e-4):
        field = varying(tolerance)
        for x, y in zip(*NODES.positions, strict=True):
            true = kernel(1 + (x + y) / 720)
            error = np.linalg.norm(field.at(x, y) - true)
            assert error <= tolerance * np.linalg.norm(true)


def test_smaller_tolerances_take_more_kernels():
    numbers = [len(varying(t).kernels) for t in (1, 1e-2, 1e-4)]
    assert numbers == sorted(set(numbers))
    assert numbers[0] == 1


def test_kernels_between_the_nodes_are_interpolated():
    field = varying(1e-5)
    for x, y in [(30.0, 40.0), (200.5, 251.0), (419.0, 0.0)]:
        # Nodes are a sixth of the range of widths apart: a cubic misses little.
        assert field.at(x, y) == pytest.approx(kernel(1 + (x + y) / 720), abs=1e-4)


def test_equal_kernels_make_a_constant_field():
    kernels = np.broadcast_to(kernel(2.0), (35, 9, 9))
    field = KernelField.of(kernels, NODES)
    assert field.is_constant
    assert field.at(17, 3) == pytest.approx(kernel(2.0))


def test_single_node_makes_a_constant_field():
    field = KernelField.of(kernel(2.0)[np.newaxis], Nodes.spread(SHAPE, (1, 1)))
    plane = np.random.default_rng(1).normal(size=SHAPE)
    assert np.array_equal(convolve_field(plane, field), convolve(plane, kernel(2.0)))


@pytest.mark.parametrize("tolerance", [1e-2, 1e-3])
def test_pixels_get_the_kernel_of_their_own_position(tolerance):
    plane = np.random.default_rng(2).normal(size=SHAPE)
    field = varying()
    convolved = convolve_field(plane, field, border="mirror", tolerance=tolerance)
    # Where cells of any block meet, and elsewhere.
    places = np.random.default_rng(3).integers((0, 0), SHAPE, (40, 2))
    for y, x in [(0, 0), (299, 419), *places]:
        expected = convolve(plane, field.at(x, y), border="mirror")[y, x]
        # Of white noise, what a kernel lacks has a deviation of its norm.
        missing = tolerance * np.linalg.norm(field.kernels[0])
        assert convolved[y, x] == pytest.approx(expected, abs=4 * missing)


def test_kernels_that_change_linearly_are_exact():
    plane = np.random.default_rng(2).normal(size=SHAPE)
    x, y = NODES.positions
    east, south = x[:, np.newaxis, np.newaxis] / 419, y[:, np.newaxis, np.newaxis] / 299
    kernels = kernel(1.0) + east * kernel(2.0) - south * kernel(1.5)
    field = KernelField.of(kernels, NODES, tolerance=1e-6)
    convolved = convolve_field(plane, field, border="mirror")
    for y, x in np.random.default_rng(3).integers((0, 0), SHAPE, (40, 2)):
        expected = convolve(plane, field.at(x, y), border="mirror")[y, x]
        assert convolved[y, x] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("order", [1, 2, 4])
def test_matching_kernels_of_any_order_are_followed(order):
    rng = np.random.default_rng(order)
    n_terms = (order + 1) * (order + 2) // 2
    match = MatchingKernel(
        basis=rng.normal(size=(4, 7, 7)),
        coefficients=rng.normal(size=(4, n_terms)),
        image_shape=SHAPE,
    )
    field = KernelField.of_match(match)
    for y, x in rng.integers((0, 0), SHAPE, (40, 2)):
        error = np.linalg.norm(field.at(x, y) - match.at(x, y))
        assert error < 1e-3 * np.linalg.norm(match.at(x, y))


def test_values_at_the_nodes_become_a_smooth_image():
    x, y = np.meshgrid(NODES.x, NODES.y)
    image = np.full(SHAPE, 2, np.float32)
    NODES.multiply(image, 3 + 0.01 * x - 0.02 * y)
    rows, columns = np.indices(SHAPE)
    assert np.abs(image / 2 - (3 + 0.01 * columns - 0.02 * rows)).max() < 1e-4


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 2)])
def test_small_images_have_nodes(shape):
    nodes = Nodes.spread(shape, (3, 3))
    image = np.ones(shape, np.float32)
    nodes.multiply(image, np.ones((3, 3)))
    assert image == pytest.approx(1)
