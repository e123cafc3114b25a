"""Subtraction with the other bases of the kernel, and with fewer kernels of one."""

import numpy as np
import pytest

from streamdiff.errors import ConfigError, SubtractionError
from streamdiff.model import UNUSABLE, Difference, MaskPlane
from streamdiff.testing import Scene
from streamdiff_al import AlardLuptonSubtractor
from streamdiff_al.basis import KernelBasis
from streamdiff_al.pca import NoVariationError
from streamdiff_al.regularise import Differences, Regularisation, Strength

FIELD = Scene.star_field(shape=(300, 300), seed=3)
DELTA = {
    "kernel_basis": KernelBasis.DELTA_FUNCTION,
    "min_kernel_size": 11,
    "max_kernel_size": 11,
}
SCIENCE = FIELD.observe(fwhm=4.0, noise=10.0, seed=1)
TEMPLATE = FIELD.observe(fwhm=3.0, noise=5.0, seed=2)


def subtract(**options):
    difference = AlardLuptonSubtractor(**options).subtract(SCIENCE, TEMPLATE)
    assert isinstance(difference, Difference)
    return difference


def worst_star(difference):
    """Return the largest residual of the 20 brightest stars, in sigma per pixel."""
    pulls = difference.image / np.sqrt(difference.variance)
    good = ~(UNUSABLE | MaskPlane.EDGE).in_mask(difference.mask)
    inner = [s for s in FIELD.sources if min(s.x, s.y) > 20 and max(s.x, s.y) < 280]
    brightest = sorted(inner, key=lambda star: star.flux)[-20:]
    rms = []
    for star in brightest:
        row, column = round(star.y), round(star.x)
        around = np.s_[row - 4 : row + 5, column - 4 : column + 5]
        rms.append(np.sqrt(np.square(pulls[around][good[around]]).mean()))
    return max(rms)


@pytest.mark.parametrize(
    "options",
    [
        {"use_pca": True},
        {"use_bic": True},
        DELTA,
        {**DELTA, "regularise": False},
        {**DELTA, "use_pca": False, "kernel_order": 0},
    ],
    ids=["pca", "bic", "delta", "not regularised", "delta without pca"],
)
def test_stars_subtract_to_the_noise(options):
    difference = subtract(**options)
    # 81 pixels correlated over some 10: sigma of the rms 0.25 at most.
    assert worst_star(difference) < 1.75
    assert difference.kernel_sum == pytest.approx(1, rel=0.01)


@pytest.mark.parametrize("differences", list(Differences))
@pytest.mark.parametrize("strength", list(Strength))
def test_delta_functions_match_however_they_are_kept_smooth(strength, differences):
    rules = Regularisation(strength=strength, differences=differences)
    assert worst_star(subtract(**DELTA, regularisation=rules)) < 1.75


def test_regularisation_makes_the_kernel_smooth():
    def roughness(**options):
        kernel = subtract(**DELTA, use_pca=False, kernel_order=0, **options)
        kernel = kernel.matching_kernel.at(150, 150)
        return np.square(np.diff(kernel, n=2, axis=0)).sum()

    strong = Regularisation(value=1e3)
    assert roughness(regularisation=strong) < 0.9 * roughness(regularise=False)


def test_components_beside_the_mean_are_as_many_as_asked_for():
    difference = subtract(use_pca=True, pca_components=3)
    assert len(difference.matching_kernel.basis) == 4


@pytest.mark.parametrize("options", [{}, DELTA, {"use_pca": True}])
def test_kernel_sum_of_gaussians_and_of_components_is_constant(options):
    kernel = subtract(**options).matching_kernel
    assert kernel.sum_at(0, 0) == pytest.approx(kernel.sum_at(299, 150), rel=1e-9)


def test_fewer_kernels_are_fitted_by_bic():
    assert subtract(use_bic=True).metrics["n_kernel_basis"] < 36


def test_bic_of_delta_functions_is_refused():
    with pytest.raises(ConfigError, match="use_bic"):
        AlardLuptonSubtractor(**DELTA, use_bic=True)


def test_equal_kernels_are_an_error_that_names_the_exposure(monkeypatch):
    def refuse(*_):
        raise NoVariationError("5 kernels of the same shape")

    monkeypatch.setattr("streamdiff_al.matcher.principal_mixes", refuse)
    with pytest.raises(SubtractionError, match=r"use_pca = false") as caught:
        subtract(use_pca=True)
    assert str(SCIENCE.id) in str(caught.value)


def test_constraint_of_the_fit_is_reported():
    metrics = subtract(kernel_order=1).metrics
    assert metrics["n_kernel_terms"] == 3
    assert metrics["kernel_underconstrained"] == 0
    assert metrics["candidate_condition_number"] > 1
