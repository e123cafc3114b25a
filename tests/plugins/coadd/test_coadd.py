from dataclasses import replace

import numpy as np
import pytest

from streamdiff.errors import InvalidExposureError
from streamdiff.imaging.flux_ratio import flux_ratio, reference_stars
from streamdiff.imaging.stamps import pad_stamp
from streamdiff.model import Coadd, MaskPlane, Reason, Skip, TemplateId
from streamdiff.testing import CosmicRays, PointSource, Scene
from streamdiff_coadd import ClippedMeanCoadder, MeanCoadder, streamdiff_coadders

TEMPLATE = TemplateId(tract=1, patch=2, band="r")
SCENE = Scene.star_field(shape=(400, 400), density_per_mpx=2500, seed=9)
BOTH = pytest.mark.parametrize("coadder", [MeanCoadder(), ClippedMeanCoadder()])


def observe(n, scene=SCENE, **options):
    return [scene.observe(visit=i + 1, seed=i, **options) for i in range(n)]


def with_planes(exposure, **planes):
    copies = {name: np.array(getattr(exposure, name)) for name in planes}
    for name, change in planes.items():
        change(copies[name])
    return replace(exposure, **copies)


def coadd_of(coadder, warps):
    coadd = coadder.coadd(TEMPLATE, warps)
    assert isinstance(coadd, Coadd)
    return coadd


@BOTH
def test_noise_of_a_coadd_is_what_its_variance_says(coadder):
    scene = Scene(shape=(1000, 1000))
    noise = [10.0, 12.0, 20.0, 9.0, 15.0]
    warps = [scene.observe(visit=i + 1, seed=i, noise=s) for i, s in enumerate(noise)]
    coadd = coadd_of(coadder, warps)
    expected = 1 / np.sum(np.power(noise, -2.0))
    np.testing.assert_allclose(coadd.exposure.variance.mean(), expected, rtol=0.002)
    # 1e6 pixels know a variance to 0.14 %.
    assert coadd.exposure.image.var() == pytest.approx(expected, rel=0.01)


def test_weights_are_inverse_variances():
    warps = [
        Scene().observe(visit=i + 1, seed=i, noise=s) for i, s in enumerate((10, 20))
    ]
    inputs = coadd_of(MeanCoadder(), warps).inputs
    assert [i.weight for i in inputs] == pytest.approx([0.8, 0.2], rel=1e-3)


@BOTH
def test_psf_of_a_coadd_is_the_weighted_mean(coadder):
    warps = [
        SCENE.observe(visit=i + 1, seed=i, fwhm=f, noise=s)
        for i, (f, s) in enumerate([(3, 10), (4, 20), (5, 10)])
    ]
    coadd = coadd_of(coadder, warps)
    found = coadd.exposure.psf.centred_at(200, 200)
    expected = sum(
        i.weight * pad_stamp(w.psf.centred_at(200, 200), found.shape)
        for i, w in zip(coadd.inputs, warps, strict=True)
    )
    assert np.abs(found - expected).sum() < 0.01


def test_the_width_of_the_psf_is_reported():
    warps = [SCENE.observe(visit=1, fwhm=3.0), SCENE.observe(visit=2, fwhm=3.0)]
    coadd = MeanCoadder().coadd(TEMPLATE, warps)
    # A pixel averages the light that falls onto it.
    assert coadd.metrics["psf_fwhm_pixel"] == pytest.approx(3.0, rel=0.03)


@BOTH
def test_excluded_pixels_do_not_count(coadder):
    def spoil(image):
        image[50:60, 50:60] = 1e6

    def flag(mask):
        mask[50:60, 50:60] |= MaskPlane.BAD

    warps = observe(4)
    warps[1] = with_planes(warps[1], image=spoil, mask=flag)
    coadd = coadd_of(coadder, warps)
    hole = (slice(50, 60), slice(50, 60))
    assert coadd.exposure.image[hole].max() < 1e5
    assert (coadd.n_image[hole] == 3).all()
    expected = MaskPlane.REJECTED | MaskPlane.INEXACT_PSF
    assert (coadd.exposure.mask[hole] & expected == expected).all()
    assert not (coadd.exposure.mask[hole] & MaskPlane.BAD).any()


@BOTH
def test_nothing_in_is_nothing_out(coadder):
    def spoil(image):
        image[10, 10] = np.nan

    warps = [with_planes(w, image=spoil) for w in observe(4)]
    exposure = coadd_of(coadder, warps).exposure
    assert exposure.mask[10, 10] & MaskPlane.NO_DATA
    assert exposure.image[10, 10] == 0
    assert np.isinf(exposure.variance[10, 10])
    assert np.isfinite(exposure.image).all()


@pytest.mark.parametrize(("n_saturated", "flagged"), [(0, False), (1, True)])
def test_saturation_is_passed_on_from_a_tenth_of_the_weight(n_saturated, flagged):
    def flag(mask):
        mask[20, 20] |= MaskPlane.SAT

    warps = observe(8)
    warps = [with_planes(w, mask=flag) for w in warps[:n_saturated]] + warps[
        n_saturated:
    ]
    mask = coadd_of(MeanCoadder(), warps).exposure.mask
    assert bool(mask[20, 20] & MaskPlane.SAT) is flagged


def test_cosmic_rays_are_clipped():
    clean = observe(5)
    rays = CosmicRays(n=40)
    dirty = observe(5, artifacts=(rays,))
    coadd = coadd_of(ClippedMeanCoadder(), dirty)
    reference = coadd_of(MeanCoadder(), clean)
    plain = coadd_of(MeanCoadder(), dirty)
    added = np.abs(plain.exposure.image - reference.exposure.image).sum(dtype=float)
    left = np.abs(coadd.exposure.image - reference.exposure.image).sum(dtype=float)
    assert left < 0.1 * added
    assert MaskPlane.CLIPPED.in_mask(coadd.exposure.mask).any()


@pytest.mark.parametrize("seeing", [(3.5,) * 5, (3.0, 3.5, 4.0, 4.5, 5.5)])
def test_cores_of_static_stars_are_not_clipped(seeing):
    warps = [SCENE.observe(visit=i + 1, seed=i, fwhm=f) for i, f in enumerate(seeing)]
    coadd = coadd_of(ClippedMeanCoadder(), warps)
    bright = coadd.exposure.image > 50 * np.sqrt(coadd.exposure.variance)
    clipped = MaskPlane.CLIPPED.in_mask(coadd.exposure.mask)
    assert bright.sum() > 500
    assert clipped[bright].mean() < 0.01
    assert clipped.mean() < 0.01


def test_two_epochs_can_not_outvote_each_other():
    warps = observe(2, artifacts=(CosmicRays(n=40),))
    coadd = coadd_of(ClippedMeanCoadder(), warps)
    assert coadd.metrics["clipped_fraction"] == 0


def test_too_few_epochs_are_a_skip():
    skip = MeanCoadder(min_inputs=3).coadd(TEMPLATE, observe(2))
    assert isinstance(skip, Skip)
    assert skip.reason is Reason.INSUFFICIENT_EPOCHS


@BOTH
def test_no_warp_is_a_skip(coadder):
    skip = coadder.coadd(TEMPLATE, [])
    assert isinstance(skip, Skip)
    assert skip.reason is Reason.INSUFFICIENT_EPOCHS


@BOTH
def test_warps_without_a_usable_pixel_are_a_skip(coadder):
    def flag(mask):
        mask[:] = MaskPlane.NO_DATA

    skip = coadder.coadd(TEMPLATE, [with_planes(w, mask=flag) for w in observe(2)])
    assert isinstance(skip, Skip)
    assert skip.reason is Reason.NO_VALID_PIXELS


def test_a_warp_without_a_usable_pixel_is_reported():
    def spoil(variance):
        variance[:] = np.nan

    warps = observe(3)
    warps[1] = with_planes(warps[1], variance=spoil)
    inputs = coadd_of(MeanCoadder(), warps).inputs
    assert [i.accepted for i in inputs] == [True, False, True]
    assert "no usable pixel" in inputs[1].reason
    assert inputs[1].weight == 0


@pytest.mark.parametrize("fwhm", [3.0, 5.0])
def test_flux_ratio_does_not_depend_on_the_seeing(fwhm):
    crowded = Scene.star_field(shape=(600, 600), density_per_mpx=20000, seed=2)
    reference = crowded.observe(fwhm=3.6, seed=1)
    faded = crowded.observe(fwhm=fwhm, seed=2, flux_scale=0.37)
    ratio = flux_ratio(faded, reference, reference_stars(reference))
    assert ratio == pytest.approx(0.37, rel=0.003)


@BOTH
def test_uncalibrated_warps_are_put_on_the_scale_of_the_first(coadder):
    transparency = (1.0, 0.5, 0.8, 0.3)
    warps = [
        replace(
            SCENE.observe(visit=i + 1, seed=i, flux_scale=t, noise=3.0),
            photometric=False,
        )
        for i, t in enumerate(transparency)
    ]
    coadd = coadd_of(coadder, warps)
    stars = reference_stars(warps[0])
    ratio = flux_ratio(coadd.exposure, warps[0], stars)
    assert ratio == pytest.approx(1, abs=0.005)
    assert not coadd.exposure.photometric
    # The noise is the same in all: a warp of half the flux has a quarter weight.
    weights = [i.weight for i in coadd.inputs]
    assert weights[1] / weights[0] == pytest.approx(0.25, rel=0.05)


def test_a_flux_scale_is_passed_on_by_what_shares_stars_with_both():
    warps = [replace(warp, photometric=False) for warp in observe(3, noise=3.0)]
    for number, columns in ((0, np.s_[180:]), (1, np.s_[:220])):
        mask = np.array(warps[number].mask)
        mask[:, columns] |= MaskPlane.NO_DATA
        warps[number] = replace(warps[number], mask=mask)
    assert all(item.accepted for item in coadd_of(MeanCoadder(), warps).inputs)
    inputs = coadd_of(MeanCoadder(), warps[:2]).inputs
    assert [item.accepted for item in inputs] == [True, False]


def test_noise_that_is_correlated_counts_for_what_it_is():
    warps = observe(2, Scene(shape=(60, 60)))
    warps[0] = replace(warps[0], covariance_factor=3.0)
    coadd = coadd_of(MeanCoadder(), warps)
    assert [item.weight for item in coadd.inputs] == pytest.approx([0.25, 0.75])
    # Powers of 3 and 9 sixteenths, of variances of 1 and 9.
    assert coadd.exposure.covariance_factor == pytest.approx(1.2, rel=1e-5)


def test_uncalibrated_warps_without_common_stars_are_rejected():
    warps = [
        replace(Scene().observe(visit=i, seed=i), photometric=False) for i in (1, 2)
    ]
    inputs = coadd_of(MeanCoadder(), warps).inputs
    assert [i.accepted for i in inputs] == [True, False]
    assert "stars in common" in inputs[1].reason


@pytest.mark.parametrize(("brighter", "accepted"), [(1.0, True), (2.0, False)])
def test_a_handful_of_stars_make_a_flux_scale_if_they_agree(brighter, accepted):
    few = [PointSource(20 + 25 * i, 50, 3e4) for i in range(4)]
    changed = [replace(few[0], flux=brighter * 3e4), *few[1:]]
    changed[1] = replace(few[1], flux=3e4 / brighter)
    warps = [
        replace(
            Scene(shape=(100, 120), sources=tuple(stars)).observe(visit=i, seed=i),
            photometric=False,
        )
        for i, stars in enumerate((few, changed), start=1)
    ]
    inputs = coadd_of(MeanCoadder(), warps).inputs
    assert [i.accepted for i in inputs] == [True, accepted]


def test_warps_of_different_shapes_are_refused():
    warps = [Scene().observe(visit=1), Scene(shape=(5, 5)).observe(visit=2)]
    with pytest.raises(InvalidExposureError, match="differ in shape"):
        MeanCoadder().coadd(TEMPLATE, warps)


def test_the_same_exposure_twice_is_refused():
    with pytest.raises(InvalidExposureError, match="twice"):
        MeanCoadder().coadd(TEMPLATE, [Scene().observe(), Scene().observe()])


def test_an_unknown_mask_plane_is_refused():
    with pytest.raises(ValueError, match="NOPE"):
        MeanCoadder(bad=("NOPE",))


@BOTH
@pytest.mark.parametrize("shape", [(1, 1), (5, 3)])
def test_tiny_warps_can_be_coadded(coadder, shape):
    coadd = coadd_of(coadder, observe(4, Scene(shape=shape)))
    assert coadd.exposure.shape == shape


def test_inputs_are_not_changed():
    warps = observe(3)
    before = [w.image.copy() for w in warps]
    coadd_of(ClippedMeanCoadder(), warps)
    assert all((w.image == b).all() for w, b in zip(warps, before, strict=True))


def test_the_plugins_are_offered():
    assert set(streamdiff_coadders()) == {"mean", "clipped_mean", "compare_warp"}
