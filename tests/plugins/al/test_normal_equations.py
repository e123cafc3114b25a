"""Least squares with noise in the image that is convolved."""

import numpy as np
import pytest

from streamdiff_al.normal_equations import NormalEquations

N_PIXELS, N_PARAMETERS = 40_000, 20
RNG = np.random.default_rng(1)
TRUTH = RNG.uniform(0.5, 1, N_PARAMETERS)
# From what pixels tell well to what they do not tell at all.
SIGNALS = np.geomspace(3, 0.003, N_PARAMETERS)


def equations(*, overstated=1.0, expected=None):
    """Return those of a design that unit noise was added to, as to the target."""
    rng = np.random.default_rng(2)
    design = SIGNALS * rng.normal(size=(N_PIXELS, N_PARAMETERS))
    target = design @ TRUTH + rng.normal(size=N_PIXELS)
    seen = design + rng.normal(size=design.shape)
    return NormalEquations(
        matrix=seen.T @ seen,
        noise=overstated * N_PIXELS * np.eye(N_PARAMETERS),
        vector=seen.T @ target,
        square=float(target @ target),
        target_noise=overstated * N_PIXELS,
        n_pixels=N_PIXELS,
        expected=expected,
    )


# An error of sqrt(1 + truth^2) of noise, a dozen-fold, over signal and 200.
WELL_KNOWN = SIGNALS > 0.5


def error_of(parameters):
    return np.abs(parameters - TRUTH)


def test_noise_of_the_design_takes_nothing_from_what_it_tells():
    error = error_of(equations().solve()[0])
    assert error[WELL_KNOWN].max() < 0.1


def test_what_data_do_not_tell_is_small():
    parameters, _ = equations().solve()
    assert np.abs(parameters[SIGNALS < 0.02]).max() < 0.2


def test_what_data_do_not_tell_is_as_expected():
    parameters, _ = equations(expected=TRUTH[:, np.newaxis] / 3).solve()
    # The scale of what is expected is that of what is well known.
    assert error_of(parameters)[SIGNALS < 0.02].max() < 0.2


def test_wrong_expectation_spoils_nothing_that_data_tell():
    wrong = RNG.uniform(0.5, 1, (N_PARAMETERS, 1))
    parameters, _ = equations(expected=wrong).solve()
    assert error_of(parameters)[WELL_KNOWN].max() < 0.1


@pytest.mark.parametrize("overstated", [3.0, 100.0])
def test_overstated_noise_is_not_taken_out(overstated):
    honest, _ = equations().solve()
    parameters, _ = equations(overstated=overstated).solve()
    # What is dropped leaves some signal, which is taken for noise: some percent more.
    assert parameters[WELL_KNOWN] == pytest.approx(honest[WELL_KNOWN], abs=0.1)


def test_understated_noise_is_taken_as_stated():
    equation = equations(overstated=0.1)
    assert equation.noise_share(equation.solve()[0]) == 1


def test_fewer_pixels_than_parameters_tell_nothing_of_the_noise():
    few = NormalEquations(
        matrix=np.eye(3),
        noise=np.eye(3),
        vector=np.ones(3),
        square=3.0,
        target_noise=3.0,
        n_pixels=2,
    )
    assert few.noise_share(np.ones(3)) == 1


@pytest.mark.parametrize("expected", [None, TRUTH[:, np.newaxis]])
def test_solver_times_vector_is_the_solution(expected):
    both = equations(overstated=2.0, expected=expected)
    assert both.solver @ both.vector == pytest.approx(both.solve()[0], rel=1e-6)


@pytest.mark.parametrize("expected", [None, TRUTH[:, np.newaxis]])
def test_stacked_equations_are_solved_as_each_of_them(expected):
    both = [equations(overstated=o, expected=expected) for o in (1.0, 3.0)]
    names = ("matrix", "noise", "vector", "square", "target_noise", "n_pixels")
    stack = NormalEquations(
        **{name: np.array([getattr(one, name) for one in both]) for name in names},
        expected=expected,
    )
    solutions, conditions = stack.solve()
    for row, one in enumerate(both):
        solution, condition = one.solve()
        assert solutions[row] == pytest.approx(solution)
        assert conditions[row] == pytest.approx(condition)
        assert (stack.take(row).matrix == one.matrix).all()
