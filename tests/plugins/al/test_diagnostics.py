"""Whether candidates determine what is fitted to them."""

import pytest

from streamdiff_al.diagnostics import fit_diagnostics
from streamdiff_al.fit import SpatialModel

MODEL = SpatialModel(
    n_basis=6, kernel_order=1, background_order=0, image_shape=(100, 100)
)


def diagnose(n_good, n_rejected=0):
    return fit_diagnostics(MODEL, (1, 2), list(range(1, n_good + 1)), n_rejected)


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
