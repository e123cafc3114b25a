"""Least squares for the matching kernel."""

import numpy as np
import pytest

from streamdiff_al.cutout import Cutout
from streamdiff_al.fit import SpatialModel, constant_model, level

SIDE, NOISE = 101, 1.0


def cutout(convolved, target, source_noise):
    """Return a candidate with a margin of 1 px around its pixels."""
    shape = target.shape
    return Cutout(
        terms=np.ones((1, *shape)),
        target=target,
        convolved=convolved,
        target_variance=np.full(shape, NOISE**2),
        source_variance=np.full((SIDE + 2, SIDE + 2), source_noise**2),
        usable=np.ones(shape, bool),
    )


def solve(candidate, overlaps):
    model = constant_model(len(candidate.convolved), (SIDE, SIDE))
    variance = np.full((SIDE, SIDE), NOISE**2)
    return model.equations([candidate], [variance], overlaps).solve()[0]


@pytest.mark.parametrize("source_noise", [0.0, 0.5, 1.0])
def test_noise_of_the_convolved_image_does_not_dampen_the_kernel(source_noise):
    rng = np.random.default_rng(1)
    signal = rng.normal(size=(2, SIDE, SIDE))
    target = 0.7 * signal[0] + 0.2 * signal[1] + 5
    noisy = signal + source_noise * rng.normal(size=signal.shape)
    target = target + NOISE * rng.normal(size=target.shape)
    # Two deltas, some pixels apart: their noise is independent.
    found = solve(cutout(noisy, target, source_noise), np.eye(2))
    # Five times the noise of both over sqrt(1e4) pixels, and what the second leaves.
    assert found == pytest.approx([0.7, 0.2, 5], abs=0.08)


def test_kernel_of_pure_noise_is_small():
    rng = np.random.default_rng(2)
    noise, target = rng.normal(size=(1, SIDE, SIDE)), rng.normal(size=(SIDE, SIDE))
    assert abs(solve(cutout(noise, target, 1.0), np.eye(1))[0]) < 1


def test_dependent_basis_kernels_share_what_they_can_not_tell_apart():
    signal = np.random.default_rng(3).normal(size=(1, SIDE, SIDE))
    found = solve(cutout(np.repeat(signal, 2, axis=0), signal[0], 0.0), np.ones((2, 2)))
    assert found == pytest.approx([0.5, 0.5, 0], abs=1e-6)


def test_prediction_is_the_sum_of_what_the_parameters_add():
    rng = np.random.default_rng(4)
    model = SpatialModel(
        n_basis=2, kernel_order=1, background_order=0, image_shape=(SIDE, SIDE)
    )
    terms = rng.normal(size=(3, SIDE, SIDE))
    terms[0] = 1
    candidate = Cutout(
        terms=terms,
        target=np.zeros((SIDE, SIDE)),
        convolved=rng.normal(size=(2, SIDE, SIDE)),
        target_variance=np.ones((SIDE, SIDE)),
        source_variance=np.ones((SIDE + 2, SIDE + 2)),
        usable=np.ones((SIDE, SIDE), bool),
    )
    first, second = candidate.convolved
    expected = 2 * first + (3 * terms[0] + 4 * terms[1] + 5 * terms[2]) * second
    predicted = model.predict(np.array([2.0, 3.0, 4.0, 5.0, 6.0]), candidate)
    assert predicted == pytest.approx(expected + 6)


@pytest.mark.parametrize(("constant_sum", "n_scales"), [(True, 1), (False, 3)])
def test_scaled_kernels_have_the_same_shape_everywhere(constant_sum, n_scales):
    model = SpatialModel(
        n_basis=2,
        kernel_order=1,
        background_order=0,
        image_shape=(SIDE, SIDE),
        constant_sum=constant_sum,
    )
    combinations = model.scaled(np.array([1.0, 0.5]))
    assert combinations.shape[1] == n_scales + 1
    scales = np.random.default_rng(5).normal(size=n_scales + 1)
    basis = np.eye(2, 3).reshape(2, 1, 3)
    kernel = model.kernel(combinations @ scales, basis)
    for place in ((0, 0), (10, 70)):
        first, second, _ = kernel.at(*place).ravel()
        assert second == pytest.approx(0.5 * first)


def test_constant_weights_are_the_median_of_the_usable_pixels():
    variance = np.arange(9.0).reshape(3, 3)
    assert (level(variance, variance < 5) == 2).all()
