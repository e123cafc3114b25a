"""Which stars are fitted, what is told of them, and what users may ask for."""

from dataclasses import replace

import numpy as np
import pytest

from streamdiff.errors import ConfigError, SubtractionError
from streamdiff.model import CandidateStatus, Difference, MaskPlane, Reason, Skip
from streamdiff.model.star_list import StarList
from streamdiff.testing import PointSource, Scene
from streamdiff_al import AlardLuptonSubtractor, Direction
from streamdiff_al.candidates import CandidateSource

FIELD = Scene.star_field(shape=(300, 300), seed=3)
VARIABLE = (150.0, 140.0)
SCIENCE = FIELD.add(PointSource(*VARIABLE, 6e4)).observe(fwhm=4.0, noise=10.0, seed=1)
TEMPLATE = FIELD.add(PointSource(*VARIABLE, 3e4)).observe(fwhm=3.0, noise=5.0, seed=2)
USED = CandidateStatus.USED
# So nothing is rejected.
LENIENT = {
    "max_residual_mean": np.inf,
    "max_residual_rms": np.inf,
    "kernel_sum_clip": np.inf,
}


def subtract(science=SCIENCE, template=TEMPLATE, **options):
    options = {"direction": Direction.TEMPLATE, "kernel_order": 0, **options}
    difference = AlardLuptonSubtractor(**options).subtract(science, template)
    assert isinstance(difference, Difference)
    return difference


@pytest.fixture(scope="module")
def plain():
    return subtract()


@pytest.fixture(scope="module")
def thorough():
    return subtract(control_step=5, keep_cutouts=True, kernel_uncertainty=True)


@pytest.fixture(scope="module")
def lsst_pair(lsst_scene):
    """LSST's scene, the template the sharper one."""
    return lsst_scene.observe(2.4, 6), lsst_scene.observe(2.0, 7, 0.1)


def test_every_candidate_that_was_tried_is_told(plain):
    candidates, metrics = plain.kernel_candidates, plain.metrics
    n_used = candidates.having(USED).sum()
    assert n_used == metrics["n_kernel_candidates"]
    assert len(candidates) == n_used + metrics["n_kernel_rejected"]
    assert np.isfinite(candidates.spatial_rms[candidates.having(USED)]).all()
    assert candidates.targets is None


def test_variable_star_is_not_used(plain):
    candidates = plain.kernel_candidates
    distance = np.hypot(candidates.x - VARIABLE[0], candidates.y - VARIABLE[1])
    assert distance.min() < 1
    assert candidates.status[distance.argmin()] != USED


def test_own_kernels_sum_to_the_flux_ratio(plain):
    candidates = plain.kernel_candidates
    sums = candidates.kernel_sum[candidates.having(USED)]
    assert np.median(sums) == pytest.approx(1, abs=0.02)


def test_control_sample_judges_the_fit(thorough):
    candidates, metrics = thorough.kernel_candidates, thorough.metrics
    n_used = candidates.having(USED).sum()
    n_control = candidates.having(CandidateStatus.CONTROL).sum()
    assert metrics["n_kernel_control"] == n_control
    # A fifth of those that are looked at first, some of which are rejected.
    assert 0.15 * n_used < n_control < 0.35 * n_used
    # A square of 529 px, correlated over some 10: each rms is known to 10 %.
    assert metrics["kernel_control_rms_median"] == pytest.approx(1, abs=0.1)
    assert metrics["kernel_local_rms_mean"] < metrics["kernel_spatial_rms_mean"]


def test_candidates_come_with_their_pixels_on_request(thorough):
    candidates = thorough.kernel_candidates
    n, side, _ = candidates.targets.shape
    assert candidates.residuals.shape == (n, side, side) == (len(candidates), 23, 23)
    bright = np.flatnonzero(candidates.having(USED) & (candidates.snr > 100))
    peaks = candidates.targets[bright, side // 2, side // 2]
    assert (peaks > 10 * np.abs(candidates.residuals[bright]).mean(axis=(1, 2))).all()


def test_uncertainty_of_the_kernel_is_found_on_request(plain, thorough):
    assert plain.matching_kernel.covariance is None
    error = np.sqrt(thorough.matching_kernel.sum_variance_at(149.5, 149.5))
    relative = error / thorough.matching_kernel.centre_sum
    assert thorough.metrics["kernel_sum_relative_error"] == pytest.approx(relative)
    assert abs(thorough.matching_kernel.centre_sum - 1) < 5 * error < 0.05


def test_one_star_is_too_few(lsst_scene):  # A12
    scene = replace(lsst_scene, n_stars=1)
    result = AlardLuptonSubtractor().subtract(
        scene.observe(2.4, 6), scene.observe(2.0, 7)
    )
    assert isinstance(result, Skip)
    assert result.reason is Reason.INSUFFICIENT_KERNEL_SOURCES


def lsst_candidates(pair, **options):
    return subtract(*pair, **LENIENT, **options).kernel_candidates


def test_as_many_stars_as_asked_for_are_used_and_the_best(lsst_pair):  # A13
    everything = lsst_candidates(lsst_pair, max_stars=-1, stars_per_cell=-1)
    assert everything.having(USED).all()
    third = len(everything) // 3
    some = lsst_candidates(lsst_pair, max_stars=third, stars_per_cell=-1)
    assert len(some) == third
    assert sorted(some.snr) == sorted(everything.snr)[-third:]


def test_stars_on_bad_planes_are_not_used(lsst_pair):  # A13
    everything = lsst_candidates(lsst_pair, max_stars=-1, stars_per_cell=-1)
    science, template = lsst_pair
    mask = science.mask.copy()
    for x, y in zip(everything.x[::3], everything.y[::3], strict=True):
        mask[round(y), round(x)] |= int(MaskPlane.SUSPECT)
    flagged = replace(science, mask=mask), template
    options = {"max_stars": -1, "stars_per_cell": -1, "bad_planes": ("SUSPECT",)}
    found = lsst_candidates(flagged, **options)
    n_flagged = len(everything.x[::3])
    assert found.having(USED).sum() == len(everything) - n_flagged
    assert found.having(CandidateStatus.UNUSABLE).sum() == n_flagged


def test_more_stars_than_there_are_can_not_be_asked_for(lsst_pair):  # A13
    result = AlardLuptonSubtractor(min_stars=1000).subtract(*lsst_pair)
    assert isinstance(result, Skip)
    assert result.reason is Reason.INSUFFICIENT_KERNEL_SOURCES
    assert "needs 1000" in result.detail


@pytest.mark.parametrize("source", list(CandidateSource))
def test_stars_of_either_image_serve(lsst_pair, source):
    difference = subtract(*lsst_pair, candidates_from=source)
    # So few and faint stars know it to 1.2 %.
    assert difference.kernel_sum == pytest.approx(1, abs=0.04)


def test_catalogue_of_the_science_image_is_used(lsst_pair):
    science, template = lsst_pair
    found = lsst_candidates(lsst_pair)
    rows = np.argsort(found.snr)[-6:]
    listed = StarList(x=found.x[rows], y=found.y[rows], flux=np.ones(6), snr=np.ones(6))
    used = lsst_candidates((replace(science, stars=listed), template))
    assert len(used) == 6
    assert sorted(used.x) == pytest.approx(sorted(found.x[rows]), abs=0.1)


def test_equal_weights_find_the_same_kernel(plain):
    assert subtract(constant_weights=True).kernel_sum == pytest.approx(
        plain.kernel_sum, abs=0.01
    )


def test_ill_conditioned_candidates_are_rejected_on_request(plain):
    limit = plain.metrics["candidate_condition_number"]
    assert subtract(max_candidate_condition=limit / 2).metrics[
        "candidates_ill_conditioned"
    ]
    found = subtract(max_candidate_condition=limit, check_condition=True)
    found = found.kernel_candidates
    assert found.having(CandidateStatus.ILL_CONDITIONED).sum() > 5


@pytest.mark.parametrize("direction", list(Direction))
def test_stored_kernel_makes_the_same_difference_again(direction):  # A16
    subtractor = AlardLuptonSubtractor(direction=direction)
    images = (SCIENCE, TEMPLATE)
    if direction is Direction.SCIENCE:
        brighter = replace(TEMPLATE, id=SCIENCE.id, image=TEMPLATE.image + 3)
        images = (brighter, SCIENCE)
    first = subtractor.subtract(*images)
    again = subtractor.remake(*images, first)
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.variance, again.variance)
    assert np.array_equal(first.mask, again.mask)


def test_difference_without_its_kernel_can_not_be_made_again(plain):
    lost = replace(plain, matching_kernel=None)
    with pytest.raises(SubtractionError, match="no matching kernel"):
        AlardLuptonSubtractor().remake(SCIENCE, TEMPLATE, lost)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [({"max_stars": 0}, "max_stars"), ({"bad_planes": ("SATURATED",)}, "bad_planes")],
)
def test_impossible_options_are_refused(options, complaint):
    with pytest.raises(ConfigError, match=complaint):
        AlardLuptonSubtractor(**options)
