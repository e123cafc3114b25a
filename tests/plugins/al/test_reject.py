"""Rejection of kernel candidates: rules D5 of the reference system, and ours."""

import numpy as np
import pytest

from streamdiff_al.reject import (
    RejectionRules,
    Residual,
    keep_matched,
    keep_usual_sums,
)


def test_only_the_wild_kernel_sum_is_rejected():
    kept = keep_usual_sums([1, 1, 1, 1, 2, 3, 4, 50], 3.0)
    assert kept.tolist() == 7 * [True] + [False]


def test_without_a_limit_no_sum_is_rejected_that_is_finite():
    kept = keep_usual_sums([1, 1, 1, 50, np.inf], np.inf)
    assert kept.tolist() == [True, True, True, True, False]


def test_one_outlier_among_equal_sums_is_rejected():
    sums = np.ones(9)
    sums[4] = 100
    assert np.flatnonzero(~keep_usual_sums(sums, 3.0)).tolist() == [4]


def test_sums_that_are_not_finite_are_rejected():
    assert keep_usual_sums([1.0, np.nan, 1.0, np.inf], 3.0).tolist() == [
        True,
        False,
        True,
        False,
    ]


def test_one_candidate_is_usual():
    assert keep_usual_sums([1.3], 3.0).all()


def test_no_candidate_is_no_error():
    assert keep_usual_sums([], 3.0).size == 0


def residuals(*rms):
    return [Residual(mean=0.0, rms=r) for r in rms]


def test_large_residuals_are_rejected():
    kept = keep_matched(residuals(1.0, 1.1, 0.9, 1.6), RejectionRules(of_median=1.4))
    assert kept.tolist() == [True, True, True, False]


def test_residuals_that_are_usual_in_the_image_are_kept():
    kept = keep_matched(residuals(3.0, 2.8, 3.3, 9.0), RejectionRules())
    assert kept.tolist() == [True, True, True, False]


def test_biased_candidates_are_rejected():
    biased = Residual(mean=-0.4, rms=1.0)
    kept = keep_matched([*residuals(1.0, 1.0, 1.0), biased], RejectionRules())
    assert kept.tolist() == [True, True, True, False]


def test_candidates_that_were_not_fitted_are_rejected():
    kept = keep_matched(residuals(1.0, np.nan), RejectionRules())
    assert kept.tolist() == [True, False]


def test_residuals_count_usable_pixels_alone():
    residual = np.array([[2.0, 4.0, np.nan]])
    usable = np.array([[True, True, False]])
    found = Residual.of(residual, np.full((1, 3), 4.0), usable)
    assert found.mean == pytest.approx(1.5)
    assert found.rms == pytest.approx(np.sqrt(2.5))


def test_residuals_are_judged_in_the_core_on_request():
    residual = np.zeros((7, 7))
    residual[2:5, 2:5], residual[0] = 1, 100
    everything = np.ones((7, 7), bool)
    found = Residual.of(residual, np.ones((7, 7)), everything, core_radius=1)
    assert (found.mean, found.rms) == (1, 1)


def test_candidate_without_usable_pixels_has_no_residual():
    found = Residual.of(np.ones((3, 3)), np.ones((3, 3)), np.zeros((3, 3), bool))
    assert np.isnan([found.mean, found.rms]).all()
