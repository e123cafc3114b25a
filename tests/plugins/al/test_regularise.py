"""Regularisation of kernels of free pixels."""

import numpy as np
import pytest

from streamdiff.errors import ConfigError
from streamdiff_al.delta_basis import delta_basis
from streamdiff_al.normal_equations import NormalEquations
from streamdiff_al.regularise import (
    Differences,
    Regularisation,
    Strength,
    parameter_risks,
)

SIZE = 7
PIXELS = np.eye(SIZE**2).reshape(-1, SIZE, SIZE)
V, U = np.mgrid[:SIZE, :SIZE] - SIZE // 2


def roughness_of(kernel, **options):
    """Return k' H k."""
    h = Regularisation(**options).roughness(PIXELS)
    return kernel.ravel() @ h @ kernel.ravel()


def delta(row, column):
    kernel = np.zeros((SIZE, SIZE))
    kernel[row, column] = 1
    return kernel


@pytest.mark.parametrize("stencil", [5, 9])
def test_laplacian_of_a_plane_is_zero(stencil):
    rough = roughness_of(1 + 2.0 * U - V, stencil=stencil, border_penalty=0)
    # H holds numbers of some tens, the kernel some ones: rounding of 1e-16 of them.
    assert rough == pytest.approx(0, abs=1e-11)


@pytest.mark.parametrize("stencil", [5, 9])
def test_laplacian_of_a_paraboloid_is_four(stencil):
    rough = roughness_of(np.square(U) + np.square(V), stencil=stencil, border_penalty=0)
    assert rough == pytest.approx(16 * (SIZE - 2) ** 2)


def test_forward_differences_of_an_order_vanish_for_lower_degrees():
    options = {"differences": Differences.FORWARD, "border_penalty": 0}
    parabola = np.square(U) + V
    assert roughness_of(parabola, orders=(3,), **options) == pytest.approx(0)
    # The second derivative along x alone is not zero: 2.
    second = 4 * SIZE * (SIZE - 2)
    assert roughness_of(parabola, orders=(2,), **options) == pytest.approx(second)


def test_orders_of_forward_differences_add_up():
    options = {"differences": Differences.FORWARD, "border_penalty": 0}
    kernel = np.random.default_rng(1).normal(size=(SIZE, SIZE))
    parts = [roughness_of(kernel, orders=(order,), **options) for order in (1, 2)]
    assert roughness_of(kernel, orders=(1, 2), **options) == pytest.approx(sum(parts))


@pytest.mark.parametrize("differences", list(Differences))
def test_border_is_penalised(differences):
    with_border, without = (
        roughness_of(delta(0, 3), differences=differences, border_penalty=penalty)
        for penalty in (3.0, 0.0)
    )
    assert with_border - without == pytest.approx(9)


def test_roughness_does_not_depend_on_the_basis():
    basis = delta_basis(SIZE)
    coefficients = np.random.default_rng(2).normal(size=SIZE**2)
    kernel = np.tensordot(coefficients, basis, 1)
    h = Regularisation().roughness(basis)
    assert coefficients @ h @ coefficients == pytest.approx(roughness_of(kernel))


@pytest.fixture
def noisy():
    """A smooth kernel seen through a blur, its truth and its matrix H."""
    rng = np.random.default_rng(3)
    truth = np.exp(-0.5 * (np.square(U) + np.square(V))).ravel()
    design = rng.normal(size=(3 * SIZE**2, SIZE**2))
    target = design @ truth + rng.normal(size=len(design))
    equations = NormalEquations(
        matrix=design.T @ design,
        noise=np.zeros((SIZE**2, SIZE**2)),
        vector=design.T @ target,
        square=float(target @ target),
        target_noise=float(len(design)),
        n_pixels=len(design),
    )
    return equations, truth, Regularisation().roughness(PIXELS)


@pytest.mark.parametrize("max_condition", [5e6, np.inf])
def test_least_risk_is_close_to_the_least_error(noisy, max_condition):
    equations, truth, h = noisy
    strengths = 10.0 ** np.arange(-3, 5, 0.25)
    errors = [
        np.square(equations.penalised(s * h).solve()[0] - truth).sum()
        for s in strengths
    ]
    risks = parameter_risks(equations, h, strengths, max_condition=max_condition)
    # The estimate has noise: it may miss the best, but not by much.
    assert errors[np.argmin(risks)] < 1.5 * min(errors)
    assert errors[np.argmin(risks)] < 0.5 * errors[0]


def test_risks_are_those_of_the_definition(noisy):
    equations, _, h = noisy
    strength = 3.0
    inverse = np.linalg.inv(equations.matrix + strength * h)
    found, vector = inverse @ equations.vector, equations.vector
    free = np.linalg.solve(equations.matrix, vector)
    expected = found @ found + 2 * (np.trace(inverse) - found @ free)
    (risk,) = parameter_risks(equations, h, np.array([strength]), max_condition=np.inf)
    assert risk == pytest.approx(expected, rel=1e-6)


def test_relative_strength_is_a_ratio_of_traces(noisy):
    equations, _, h = noisy
    rules = Regularisation(strength=Strength.RELATIVE, scaling=1e-3)
    expected = 1e-3 * np.trace(equations.matrix) / np.trace(h)
    assert rules.choose(equations, h) == pytest.approx(expected)


def test_absolute_strength_is_the_value(noisy):
    assert Regularisation(value=0.7).choose(noisy[0], noisy[2]) == 0.7


def test_scans_are_of_powers_of_ten_or_of_numbers():
    options = {"scan_from": 0.0, "scan_to": 1.0, "scan_step": 0.5}
    assert Regularisation(**options).strengths == pytest.approx([1, 10**0.5, 10])
    linear = Regularisation(log_scan=False, **options)
    assert linear.strengths == pytest.approx([0, 0.5, 1])
    assert len(Regularisation().strengths) == 31


@pytest.mark.parametrize(
    "options",
    [
        {"stencil": 7},
        {"orders": ()},
        {"orders": (1, 4)},
        {"scan_from": 3.0},
        {"log_scan": False},
    ],
)
def test_wrong_options_are_refused(options):
    with pytest.raises(ConfigError, match=r"subtract\.al\.regularisation"):
        Regularisation(**options)
