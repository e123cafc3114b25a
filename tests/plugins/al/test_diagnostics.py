"""Whether candidates determine what is fitted to them."""

import numpy as np
import pytest

from streamdiff.model import CandidateStatus, KernelCandidates, MatchingKernel
from streamdiff.model.kernel_candidates import COLUMNS
from streamdiff_al.basis import BasisRules
from streamdiff_al.diagnostics import (
    basis_figures,
    fit_diagnostics,
    residual_figures,
    uncertainty_figures,
)
from streamdiff_al.fit import SpatialModel

MODEL = SpatialModel(
    n_basis=6, kernel_order=1, background_order=0, image_shape=(100, 100)
)


def diagnose(n_good, n_rejected=0, condition=1.0, limits=(1e3, 1e6)):
    return fit_diagnostics(
        MODEL,
        (1, 2),
        list(range(1, n_good + 1)),
        n_rejected,
        condition=condition,
        limits=limits,
    )


def test_terms_are_those_fitted():
    found = diagnose(20)
    assert found["n_kernel_terms"] == 3
    assert found["n_background_terms"] == 1
    assert found["n_kernel_basis"] == 6


@pytest.mark.parametrize(
    ("n_good", "under", "poorly"), [(2, 1, 1), (3, 0, 1), (6, 0, 1), (7, 0, 0)]
)
def test_a_kernel_needs_twice_as_many_candidates_as_terms(n_good, under, poorly):
    found = diagnose(n_good)
    assert found["kernel_underconstrained"] == under
    assert found["kernel_poorly_constrained"] == poorly


def test_a_background_is_judged_by_the_order_asked_for():
    assert diagnose(5)["background_underconstrained"] == 1
    assert diagnose(13)["background_poorly_constrained"] == 0


@pytest.mark.parametrize(("n_rejected", "mostly"), [(10, 0), (11, 1)])
def test_more_than_two_rejected_for_each_accepted_are_reported(n_rejected, mostly):
    assert diagnose(5, n_rejected)["kernel_mostly_rejected"] == mostly


def test_condition_of_the_candidates_is_their_median():
    assert diagnose(5)["candidate_condition_number"] == 3


def test_ill_conditioned_fits_are_reported():
    fine, ill = diagnose(5), diagnose(5, condition=1e7, limits=(2, 1e6))
    for name in ("candidates_ill_conditioned", "kernel_ill_conditioned"):
        assert (fine[name], ill[name]) == (0, 1)


def candidates(status, local, spatial):
    columns = {name: np.full(len(status), np.nan) for name in COLUMNS}
    return KernelCandidates(
        **{**columns, "status": status, "local_rms": local, "spatial_rms": spatial}
    )


def test_residuals_are_those_of_used_candidates_and_of_the_control_sample():
    used, control = CandidateStatus.USED, CandidateStatus.CONTROL
    found = residual_figures(
        candidates(
            [used, used, used, control, CandidateStatus.POOR_FIT],
            [1.0, 1.1, 1.5, 9.0, 9.0],
            [1.2, 1.3, 1.7, 2.0, 9.0],
        )
    )
    assert found["kernel_local_rms_mean"] == pytest.approx(1.2)
    assert found["kernel_local_rms_median"] == pytest.approx(1.1)
    assert found["kernel_spatial_rms_stdev"] == pytest.approx(np.std([1.2, 1.3, 1.7]))
    assert found["kernel_control_rms_mean"] == 2.0
    assert found["n_kernel_control"] == 1


def test_no_control_sample_has_no_residual():
    found = residual_figures(candidates([CandidateStatus.USED], [1.0], [1.0]))
    assert found["n_kernel_control"] == 0
    assert "kernel_control_rms_mean" not in found


def test_basis_is_told_in_numbers():
    rules = BasisRules(degrees=(4, 2), sigmas=(0.7, 1.5))
    found = basis_figures(21, (0.9, 1.8), rules, is_wider=True)
    assert (found["n_gaussians"], found["kernel_size"]) == (2, 21)
    assert (found["basis_scaled"], found["basis_deconvolves"]) == (1, 1)
    assert (found["gaussian_2_sigma"], found["gaussian_2_degree"]) == (1.8, 2)
    assert basis_figures(21, rules.sigmas, rules, is_wider=False)["basis_scaled"] == 0


def test_relative_errors_follow_from_the_covariance():
    delta, pair = np.zeros((2, 3, 3))
    delta[1, 1] = pair[0, 0] = 1
    pair[2, 2] = -1
    kernel = MatchingKernel(
        basis=np.array([delta, pair]),
        coefficients=np.array([[2.0], [0.0]]),
        image_shape=(9, 9),
        covariance=np.diag([0.04, 0.01]),
    )
    found = uncertainty_figures(kernel)
    assert found["kernel_sum_relative_error"] == pytest.approx(0.2 / 2)
    # Three pixels, of variances 0.04, 0.01 and 0.01.
    assert found["kernel_relative_error"] == pytest.approx(np.sqrt(0.06) / 2)


def test_kernel_of_unknown_covariance_has_no_error():
    kernel = MatchingKernel(
        basis=np.ones((1, 1, 1)), coefficients=np.ones((1, 1)), image_shape=(9, 9)
    )
    assert uncertainty_figures(kernel) == {}
