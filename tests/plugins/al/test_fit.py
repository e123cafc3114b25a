"""Least squares for the matching kernel."""

import numpy as np
import pytest

from streamdiff_al.cutout import Cutout
from streamdiff_al.fit import SpatialModel, constant_model

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
    target = target + 0.1 * rng.normal(size=target.shape)
    # Two deltas, some pixels apart: their noise is independent.
    found = solve(cutout(noisy, target, source_noise), np.eye(2))
    # Noise over sqrt(1e4) pixels, and the square of the known part of the signal.
    assert found == pytest.approx([0.7, 0.2, 5], abs=0.04)


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
