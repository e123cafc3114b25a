"""Injected sources: where they are, and what is found of them."""

from dataclasses import replace

import numpy as np
import pytest

from streamdiff.errors import InvalidExposureError
from streamdiff.model import UNUSABLE, MaskPlane
from streamdiff.pipeline.inject import Injection, Scale
from streamdiff.testing import Scene

SKY = Scene.star_field(shape=(500, 600), density_per_mpx=1000, seed=4)
SCIENCE = SKY.observe(fwhm=3.5, noise=10, seed=2, visit=7)
TEMPLATE = SKY.observe(fwhm=3.5, noise=5, seed=1)


def test_the_sources_are_what_was_added():
    injected = Injection(n=30, low=20, high=50).into(SCIENCE)
    added = injected.exposure.image - SCIENCE.image
    assert injected.x.size == 30
    # The stamps hold all but 1e-3 of a star.
    assert added.sum(dtype=float) == pytest.approx(injected.flux.sum(), rel=2e-3)
    flagged = MaskPlane.INJECTED.in_mask(injected.exposure.mask)
    assert flagged.sum() == 9 * 30
    assert added[flagged].min() > 0
    np.testing.assert_array_equal(injected.exposure.variance, SCIENCE.variance)


def test_signal_over_noise_is_that_of_a_matched_filter():
    injected = Injection(n=40, low=5, high=20).into(SCIENCE)
    assert injected.snr.min() >= 5
    assert injected.snr.max() <= 20
    stamp = SCIENCE.psf.centred_at(300, 250)
    columns, rows = np.rint([injected.x, injected.y]).astype(int)
    sigma = np.sqrt(SCIENCE.variance[rows, columns] / np.square(stamp).sum())
    np.testing.assert_allclose(injected.flux / sigma, injected.snr, rtol=1e-5)


def test_the_same_seed_gives_a_visit_the_same_sources():
    first, again = (Injection(seed=3).into(SCIENCE) for _ in range(2))
    np.testing.assert_array_equal(first.exposure.image, again.exposure.image)
    other_visit = replace(SCIENCE, id=replace(SCIENCE.exposure_id, visit=8))
    for other in (
        Injection(seed=4).into(SCIENCE),
        Injection(seed=3).into(other_visit),
    ):
        assert not np.isin(first.x, other.x).any()


def test_sources_keep_off_bad_pixels_and_the_border():
    mask = SCIENCE.mask.copy()
    mask[:, 100:500] |= MaskPlane.SAT
    injected = Injection(n=30).into(replace(SCIENCE, mask=mask))
    columns, rows = np.rint([injected.x, injected.y]).astype(int)
    assert not UNUSABLE.in_mask(mask[rows, columns]).any()
    assert min(injected.x.min(), injected.y.min()) > 3


def test_an_image_without_room_gets_fewer():
    mask = np.full(SCIENCE.shape, MaskPlane.BAD, np.int32)
    assert Injection(n=5).into(replace(SCIENCE, mask=mask)).x.size == 0


def test_a_part_of_the_visits_gets_sources():
    injection = Injection(fraction=0.3)
    concerned = [
        injection.concerns(
            replace(SCIENCE, id=replace(SCIENCE.exposure_id, visit=number))
        )
        for number in range(1000)
    ]
    # 300 of 1000, give or take 4 sigma of sqrt(1000 0.3 0.7).
    assert 242 < sum(concerned) < 358


def test_magnitudes_need_a_zero_point():
    injection = Injection(scale=Scale.MAGNITUDE, low=20, high=22)
    flux = injection.into(replace(SCIENCE, photometric=True)).flux
    # AB: 3631 Jy at magnitude 0.
    assert flux.min() > 3.631e12 * 10 ** (-0.4 * 22) * 0.999
    assert flux.max() < 3.631e12 * 10 ** (-0.4 * 20) * 1.001
    with pytest.raises(InvalidExposureError, match="no zero point"):
        injection.into(replace(SCIENCE, photometric=False))


@pytest.mark.parametrize(
    "wrong", [{"n": 0}, {"low": 0.0}, {"low": 5.0, "high": 4.0}, {"high": np.inf}]
)
def test_ranges_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="injected sources"):
        Injection(**wrong)


@pytest.mark.parametrize("plugins", [{"subtract": "al"}, {"subtract": "zogy"}])
def test_bright_sources_are_found_with_their_flux(compare, plugins):
    injected = Injection(n=40, low=15, high=60).into(SCIENCE)
    result = compare(injected.exposure, TEMPLATE, **plugins)
    recovery = injected.recovered(result.products)
    assert recovery.is_found.mean() > 0.95
    assert recovery.metrics["n_injected"] == 40
    pull = (recovery.forced_flux - recovery.flux) / recovery.forced_flux_error
    far = np.abs(pull) < 5  # not on a bright star
    assert far.mean() > 0.9
    # 40 values know a mean to 0.16, with the noise of the template in it.
    assert abs(pull[far].mean()) < 0.6
    assert pull[far].std() == pytest.approx(1, abs=0.4)


def test_faint_sources_are_not_found(compare):
    injected = Injection(n=40, low=0.5, high=1.0).into(SCIENCE)
    recovery = injected.recovered(compare(injected.exposure, TEMPLATE).products)
    assert recovery.is_found.mean() < 0.1
