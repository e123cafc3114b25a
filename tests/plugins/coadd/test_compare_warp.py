"""Artifacts go, sources that vary stay: stacks of 3 to 40 simulated epochs."""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest

from streamdiff.imaging.interpolate import dilate_by_disc
from streamdiff.model import Coadd, MaskPlane, Reason, Skip, TemplateId
from streamdiff.testing import (
    Camera,
    CosmicRays,
    GaussianProfile,
    Ghost,
    PointSource,
    Scene,
    Streak,
)
from streamdiff_coadd import CompareWarpCoadder, MeanCoadder

TEMPLATE = TemplateId(tract=1, patch=2, band="r")
SHAPE = (400, 400)
SKY = Scene.star_field(shape=SHAPE, density_per_mpx=2500, seed=3)
RNG = np.random.default_rng(8)
VARIABLES = list(
    zip(*RNG.uniform(30, 370, (2, 10)), RNG.uniform(2e3, 2e5, 10), strict=True)
)
# What each kind of artifact is, by epoch; all are on different parts of the sky.
STREAK = Streak(x=200, y=200, angle=31, flux=400)
GHOST = Ghost(x=90, y=330, radius=30, level=30)
STEP = (4.5, 0.0)  # of the minor planet [pixel per epoch], the FWHM
KINDS = ("rays", "streak", "ghost", "planet")
# Their cores saturate and bleed along the columns.
SATURATED = [(60, 120, 4e6), (310, 250, 8e6), (250, 60, 2e6)]
CAMERA = Camera(saturation=5e4)
THREE_OR_MORE = pytest.mark.parametrize("n", [3, 5, 10, 40])


@dataclass(frozen=True)
class Stack:
    clean: list
    dirty: list
    added: dict  # what each kind adds to each epoch, without noise


def planet(epoch):
    return PointSource(30 + STEP[0] * epoch, 372 + STEP[1] * epoch, 2e4)


@cache
def stack(n):
    rng = np.random.default_rng(n)
    clean, dirty, added = [], [], {kind: [] for kind in KINDS}
    for epoch in range(n):
        fwhm = rng.uniform(3.0, 4.5)
        level = 1 + 0.6 * np.sin(rng.uniform(0, 2 * np.pi, len(VARIABLES)))
        sky = SKY.add(
            *(
                PointSource(x, y, f * a)
                for (x, y, f), a in zip(VARIABLES, level, strict=True)
            )
        )
        rays = CosmicRays(n=5)
        shown = {"rays": rays}
        shown |= {"streak": STREAK} if epoch == 1 else {}
        shown |= {"ghost": GHOST} if epoch == 2 else {}
        sky = sky.add(*(PointSource(*star) for star in SATURATED))
        how = {
            "fwhm": fwhm,
            "seed": 100 + epoch,
            "visit": epoch + 1,
            "camera": CAMERA,
        }
        clean.append(sky.observe(**how))
        body = planet(epoch)
        dirty.append(sky.add(body).observe(**how, artifacts=shown.values()))
        artifact_rng = np.random.default_rng(how["seed"]).spawn(2)[1]
        for kind in KINDS:
            image = np.zeros(SHAPE)
            if kind == "planet":
                image = Scene(shape=SHAPE).add(body).render(GaussianProfile(fwhm=fwhm))
            elif kind in shown:
                shown[kind].add(image, np.zeros(SHAPE, np.int32), artifact_rng)
            added[kind].append(image)
    return Stack(clean, dirty, added)


@cache
def coadd_of(n):
    coadder = CompareWarpCoadder(input_map=True, artifact_map=True)
    coadd = coadder.coadd(TEMPLATE, stack(n).dirty)
    assert isinstance(coadd, Coadd)
    return coadd


@cache
def clipped(n):
    """Return where each epoch is left out as an artifact."""
    return [coadd_of(n).clips(epoch) for epoch in range(n)]


def near(image, radius):
    """Return True within a radius of any light."""
    return dilate_by_disc(np.abs(image) > 1, radius)


@pytest.mark.parametrize("kind", KINDS)
@THREE_OR_MORE
def test_artifacts_of_single_epochs_are_gone(n, kind):
    weights = [item.weight for item in coadd_of(n).inputs]
    light = [
        weight * np.abs(image)
        for weight, image in zip(weights, stack(n).added[kind], strict=True)
    ]
    gone = sum(e[~coadd_of(n).uses(number)].sum() for number, e in enumerate(light))
    # Three epochs can hardly tell where a trail crosses a star that is saturated.
    assert gone >= (0.95 if n >= 5 else 0.9) * np.sum(light)


def clipped_fraction(n, region):
    """Return the part of the pixels of a region that is clipped without need."""
    lost = total = 0
    for epoch, missing in enumerate(clipped(n)):
        # The matching of the PSFs spreads artifacts.
        spoilt = near(sum(stack(n).added[kind][epoch] for kind in KINDS), 16)
        total += (region & ~spoilt).sum()
        lost += (region & ~spoilt & missing).sum()
    assert total > 100
    return lost / total


def around(x, y, radius):
    rows, columns = np.indices(SHAPE)
    return np.hypot(rows - y, columns - x) <= radius


@pytest.mark.parametrize(("n", "most"), [(5, 0.05), (10, 0.01), (40, 0.01)])
def test_variable_stars_are_kept(n, most):
    stars = np.any([around(x, y, 6) for x, y, _ in VARIABLES], axis=0)
    assert clipped_fraction(n, stars) < most


@THREE_OR_MORE
def test_cores_of_bright_static_stars_are_kept(n):
    coadd = coadd_of(n).exposure
    core = coadd.image > 50 * np.sqrt(coadd.variance)
    assert clipped_fraction(n, core) < 0.01


@THREE_OR_MORE
def test_blank_sky_is_kept(n):
    coadd = coadd_of(n).exposure
    blank = coadd.image < 5 * np.sqrt(coadd.variance)
    assert clipped_fraction(n, blank) < 0.002


@THREE_OR_MORE
def test_noise_is_that_of_the_weighted_mean(n):
    sky = Scene(shape=SHAPE)
    levels = [10.0, 12.0, 20.0, 9.0, 15.0] * 8
    warps = [
        sky.observe(visit=i + 1, seed=i, noise=level)
        for i, level in enumerate(levels[:n])
    ]
    coadd = CompareWarpCoadder().coadd(TEMPLATE, warps)
    expected = 1 / np.sum(np.power(levels[:n], -2.0))
    # 160,000 pixels know a variance to 0.35 %.
    assert coadd.exposure.image.var() == pytest.approx(expected, rel=0.02)
    assert coadd.exposure.variance.mean() == pytest.approx(expected, rel=0.02)


def test_what_is_clipped_is_flagged():
    coadd = coadd_of(5)
    missing = np.any(clipped(5), axis=0)
    flags = MaskPlane.CLIPPED | MaskPlane.INEXACT_PSF
    assert (coadd.exposure.mask[missing] & flags == flags).all()
    assert not MaskPlane.CLIPPED.in_mask(coadd.exposure.mask[~missing]).any()
    saturated = [MaskPlane.SAT.in_mask(warp.mask) for warp in stack(5).dirty]
    offered = ~np.array(saturated)
    assert coadd.metrics["clipped_fraction"] == pytest.approx(
        np.sum(clipped(5)) / offered.sum(), rel=1e-6
    )


@pytest.mark.parametrize("n", [1, 2])
def test_two_epochs_are_too_few(n):
    skip = CompareWarpCoadder().coadd(TEMPLATE, stack(5).dirty[:n])
    assert isinstance(skip, Skip)
    assert skip.reason is Reason.INSUFFICIENT_EPOCHS


def test_two_epochs_are_averaged_where_that_is_asked_for():
    warps = stack(5).dirty[:2]
    coadd = CompareWarpCoadder(min_inputs=1).coadd(TEMPLATE, warps)
    mean = MeanCoadder().coadd(TEMPLATE, warps)
    np.testing.assert_array_equal(coadd.exposure.image, mean.exposure.image)


def test_the_threshold_of_the_epochs_is_that_of_the_original():
    few = CompareWarpCoadder()._artifact_rules.few(  # noqa: SLF001
        np.array([1.0, 2.0, 3.0, 4.0, 5.0, 33.0, 34.0])
    )
    assert few.tolist() == [0, 0, 1, 1, 2, 2, 3]


def test_what_touches_a_bright_source_alone_is_kept():
    sky = Scene(shape=(120, 120))
    levels = [1.0, 1.0, 1.0, 1.0, 1.2]
    warps = [
        sky.add(PointSource(60, 60, 1e6 * level)).observe(visit=i + 1, seed=i)
        for i, level in enumerate(levels)
    ]
    coadd = CompareWarpCoadder(psf_likeness=1.0).coadd(TEMPLATE, warps)
    assert coadd.n_image[60, 60] == 5
    clipped = CompareWarpCoadder(psf_likeness=1.0, protect_snr=None)
    assert clipped.coadd(TEMPLATE, warps).n_image[60, 60] == 4


def test_a_flagged_region_makes_no_deviation():
    warps = list(stack(5).clean)
    image, mask = (np.array(getattr(warps[0], p)) for p in ("image", "mask"))
    image[115:125, 115:125] += 500
    mask[95:145, 95:145] |= MaskPlane.SUSPECT
    warps[0] = replace(warps[0], image=image, mask=mask)
    assert CompareWarpCoadder().coadd(TEMPLATE, warps).n_image[120, 120] == 5
    strict = CompareWarpCoadder(prefilter=())
    assert strict.coadd(TEMPLATE, warps).n_image[120, 120] == 4


def test_the_order_of_the_epochs_does_not_matter():
    warps = stack(5).dirty
    there, back = (
        CompareWarpCoadder().coadd(TEMPLATE, order) for order in (warps, warps[::-1])
    )
    np.testing.assert_array_equal(there.n_image, back.n_image)
    np.testing.assert_allclose(
        there.exposure.image, back.exposure.image, rtol=1e-4, atol=1e-3
    )


def test_epochs_without_pixels_in_common_are_joined():
    warps = list(stack(5).clean)
    for number, columns in ((0, np.s_[200:]), (1, np.s_[:200])):
        mask = np.array(warps[number].mask)
        mask[:, columns] |= MaskPlane.NO_DATA
        warps[number] = replace(warps[number], mask=mask)
    coadd = CompareWarpCoadder().coadd(TEMPLATE, warps)
    assert np.isfinite(coadd.exposure.image).all()
    assert np.median(coadd.n_image[:, :195]) == 4


def test_the_strips_that_a_stack_is_compared_in_do_not_show(monkeypatch):
    # Two of them.
    monkeypatch.setattr("streamdiff_coadd.stack._STRIP_BYTES", 200 * 14 * 10 * 400)
    in_strips = CompareWarpCoadder().coadd(TEMPLATE, stack(10).dirty)
    whole = coadd_of(10)
    changed = (in_strips.n_image != whole.n_image).mean()
    # Each strip tells the scatter of its sky, and so the threshold, to a few percent.
    assert changed < 0.03 * 10 * whole.metrics["clipped_fraction"]


def slope(level):
    """Return an error of the sky that changes over the image by twice a level."""
    rows, columns = np.indices(SHAPE)
    return (level * (rows - columns) / SHAPE[0]).astype(np.float32)


def test_errors_of_the_sky_subtraction_are_no_deviations():
    levels = [30.0, -20.0, 0.0, 15.0, -25.0]  # sigma is 10
    warps = [
        replace(warp, image=warp.image + slope(level) + np.float32(level))
        for warp, level in zip(stack(5).dirty, levels, strict=True)
    ]
    coadd = CompareWarpCoadder(artifact_map=True).coadd(TEMPLATE, warps)
    changed = [coadd.clips(e) != clipped(5)[e] for e in range(5)]
    # What is clipped is what is clipped without them.
    assert np.mean(changed) < 0.1 * coadd_of(5).metrics["clipped_fraction"]
    uneven = CompareWarpCoadder(level_cell=0, artifact_map=True)
    made = uneven.coadd(TEMPLATE, warps)
    changed = [made.clips(e) != clipped(5)[e] for e in range(5)]
    assert np.mean(changed) > 0.5 * coadd_of(5).metrics["clipped_fraction"]


def test_stars_are_kept_where_the_psf_of_an_epoch_is_wrong():
    warps = list(stack(10).clean)
    # The width is wrong by a tenth: 20 % of the peak are left.
    width = np.random.default_rng(10).uniform(3.0, 4.5)
    warps[0] = warps[0].with_psf(GaussianProfile(fwhm=width / 1.1).psf(SHAPE))
    coadd = CompareWarpCoadder(input_map=True, psf_likeness=1.0, protect_snr=None)
    made = coadd.coadd(TEMPLATE, warps)
    star = made.exposure.image > 50 * np.sqrt(made.exposure.variance)
    assert made.uses(0)[star].mean() > 0.95
