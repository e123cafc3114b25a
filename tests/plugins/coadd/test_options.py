"""What the options of the coadders do."""

from dataclasses import replace

import numpy as np
import pytest

from streamdiff.model import MaskPlane, Reason, Skip, TemplateId
from streamdiff.testing import PointSource, Scene, Streak
from streamdiff_coadd import CompareWarpCoadder, MeanCoadder

TEMPLATE = TemplateId(tract=1, patch=2, band="r")
SCENE = Scene.star_field(shape=(200, 200), density_per_mpx=2500, seed=9)
PLANES = ("image", "variance", "mask")


def observe(n, scene=SCENE, **options):
    return [scene.observe(visit=i + 1, seed=i, **options) for i in range(n)]


def flagged(warp, plane, box):
    mask = np.array(warp.mask)
    mask[box] |= plane
    return replace(warp, mask=mask)


def coadd(warps, coadder=MeanCoadder, **options):
    return coadder(**options).coadd(TEMPLATE, warps)


def seeing_stack(fwhms):
    return [
        SCENE.observe(visit=i + 1, seed=i, fwhm=fwhm) for i, fwhm in enumerate(fwhms)
    ]


def arcsec(fwhm):
    scale = np.abs(np.linalg.det(SCENE.observe().wcs.pixel_scale_matrix)) ** 0.5
    return fwhm * scale * 3600


def test_warps_of_bad_seeing_are_left_out():
    result = coadd(seeing_stack([3, 5, 4]), max_seeing_arcsec=arcsec(4.5))
    assert [i.accepted for i in result.inputs] == [True, False, True]
    assert "the seeing is" in result.inputs[1].reason


def test_the_sharpest_part_is_taken():
    result = coadd(seeing_stack([5, 3, 6, 4]), best_fraction=0.5)
    assert [i.accepted for i in result.inputs] == [False, True, False, True]
    assert "not among the best 50%" in result.inputs[0].reason


def test_of_one_warp_the_sharpest_part_is_that_warp():
    assert coadd(seeing_stack([5]), best_fraction=0.1).inputs[0].accepted


def test_too_few_sharp_warps_are_a_skip():
    skip = coadd(seeing_stack([5, 6]), max_seeing_arcsec=arcsec(4))
    assert isinstance(skip, Skip)
    assert skip.reason is Reason.INSUFFICIENT_EPOCHS
    assert "the seeing is" in skip.detail


@pytest.mark.parametrize(("limit", "passed_on"), [(0.1, True), (0.3, False)])
@pytest.mark.parametrize("plane", [MaskPlane.SAT, MaskPlane.CR])
def test_lost_planes_are_passed_on_from_a_part_of_the_weight(plane, limit, passed_on):
    warps = observe(5)
    warps[0] = flagged(warps[0], plane, (20, 20))
    mask = coadd(warps, propagate={plane.name: limit}).exposure.mask
    assert bool(mask[20, 20] & plane) is passed_on
    assert mask[20, 20] & MaskPlane.REJECTED


def test_planes_of_pixels_that_count_are_inherited():
    planes = MaskPlane.BRIGHT_OBJECT | MaskPlane.DETECTED | MaskPlane.SUSPECT
    warps = observe(3)
    warps[0] = flagged(warps[0], planes, (20, 20))
    mask = coadd(warps).exposure.mask[20, 20]
    assert mask == MaskPlane.BRIGHT_OBJECT | MaskPlane.SUSPECT
    mask = coadd(warps, drop=("SUSPECT",)).exposure.mask[20, 20]
    assert mask == MaskPlane.BRIGHT_OBJECT | MaskPlane.DETECTED


def test_the_edge_of_a_detector_is_marked():
    warps = observe(3)
    warps[0] = flagged(warps[0], MaskPlane.EDGE, np.s_[:, :5])
    mask = coadd(warps).exposure.mask
    assert (mask[:, :5] & MaskPlane.SENSOR_EDGE).all()
    assert not (mask & MaskPlane.EDGE).any()


def with_holes():
    """Return warps that all lack a small, a large, and a border region."""
    warps = observe(3, Scene(shape=(60, 60)))
    for box in (np.s_[20:23, 20:22], np.s_[35:50, 35:50], np.s_[:2, 5:7]):
        warps = [flagged(w, MaskPlane.NO_DATA, box) for w in warps]
    return warps


def test_small_holes_are_interpolated():
    exposure = coadd(with_holes(), max_hole=3).exposure
    hole = exposure.mask[20:23, 20:22]
    assert (hole & MaskPlane.INTRP).all()
    assert (hole & MaskPlane.INEXACT_PSF).all()
    assert not (hole & MaskPlane.NO_DATA).any()
    typical = exposure.variance[5:15, 5:15].mean()
    np.testing.assert_allclose(exposure.variance[20:23, 20:22], typical, rtol=0.1)
    assert np.abs(exposure.image[20:23, 20:22]).max() < 5 * np.sqrt(typical)


def test_large_holes_and_borders_are_not_interpolated():
    mask = coadd(with_holes(), max_hole=3).exposure.mask
    for box in (np.s_[35:50, 35:50], np.s_[:2, 5:7]):
        assert (mask[box] & MaskPlane.NO_DATA).all()
        assert not (mask[box] & MaskPlane.INTRP).any()


def test_holes_stay_by_default():
    assert not MaskPlane.INTRP.in_mask(coadd(with_holes()).exposure.mask).any()


def test_bright_objects_are_circles_on_the_sky():
    warps = observe(2)
    ra, dec = (float(v) for v in warps[0].wcs.pixel_to_world_values(60, 150))
    circles = ((ra, dec, arcsec(10)), ((ra + 180) % 360, -dec, 10.0))
    mask = coadd(warps, bright_objects=circles).exposure.mask
    rows, columns = np.indices(mask.shape)
    inside = np.hypot(rows - 150, columns - 60) <= 10
    found = MaskPlane.BRIGHT_OBJECT.in_mask(mask)
    assert (found != inside).sum() <= 8  # on the circle


def test_a_circle_may_reach_beyond_the_image():
    warps = observe(2)
    for x, y in ((-5, 3), (199, 199), (-100, 500)):
        ra, dec = (float(v) for v in warps[0].wcs.pixel_to_world_values(x, y))
        coadd(warps, bright_objects=((ra, dec, arcsec(10)),))


def test_the_artifact_map_tells_what_each_epoch_lost():
    warps = [flagged(warp, MaskPlane.BAD, np.s_[10:20, 10:20]) for warp in observe(5)]
    image = np.array(warps[2].image)
    image[100:104, 50:54] += 2000
    warps[2] = replace(warps[2], image=image)
    result = coadd(warps, CompareWarpCoadder, artifact_map=True, input_map=True)
    assert result.clips(2)[100:104, 50:54].all()
    for number in range(5):
        clipped = result.clips(number)
        assert number == 2 or not clipped[95:109, 45:59].any()
        # What is BAD was never offered.
        assert not clipped[10:20, 10:20].any()
        offered = np.ones(clipped.shape, bool)
        offered[10:20, 10:20] = False
        np.testing.assert_array_equal(result.uses(number), offered & ~clipped)


def test_maps_are_kept_on_request_only():
    result = coadd(observe(1))
    with pytest.raises(ValueError, match="artifact_map = true"):
        result.clips(0)
    with pytest.raises(ValueError, match="input_map = true"):
        result.uses(0)
    assert result.aperture_corrections is None


@pytest.mark.parametrize("radius", [3.0, 6.0])
def test_aperture_corrections_are_those_of_the_weighted_psf(radius):
    # The second epoch ends in the middle.
    warps = [SCENE.observe(visit=1, fwhm=3.0), SCENE.observe(visit=2, fwhm=5.0)]
    warps[1] = flagged(warps[1], MaskPlane.NO_DATA, np.s_[:, 100:])
    corrections = coadd(warps, aperture_radius=radius).aperture_corrections

    def enclosed(fwhm):
        # A Gaussian has 1 - exp(-r^2 / 2 sigma^2) of its flux within r; that a pixel
        # counts by its part in the circle makes it a pixel wider.
        variance = fwhm**2 / (8 * np.log(2)) + 1 / 12
        return 1 - np.exp(-(radius**2) / 2 / variance)

    assert corrections.at(20, 60) == pytest.approx(
        2 / (enclosed(3) + enclosed(5)), rel=5e-3
    )
    assert corrections.at(1e9, 60) == pytest.approx(1 / enclosed(3), rel=5e-3)


def test_a_misspelt_plane_to_propagate_or_drop_is_refused():
    for options in ({"propagate": {"SATT": 0.1}}, {"drop": ("SATT",)}):
        with pytest.raises(ValueError, match="SATT"):
            MeanCoadder(**options)


def streak_stack():
    """Return warps of which the second shows a trail that is partly lost in noise."""
    scene = Scene(shape=(400, 400))
    warps = observe(5, scene)
    trail = Streak(x=200, y=200, angle=31, flux=120)
    image = np.zeros(scene.shape)
    trail.add(image, np.zeros(scene.shape, np.int32), np.random.default_rng())
    columns = np.arange(400)
    fading = np.where(columns // 50 % 2, 1.0, 0.1) * image
    warps[1] = replace(warps[1], image=warps[1].image + fading.astype(np.float32))
    return warps, image > 10


def test_streaks_are_rejected_along_their_whole_length():
    warps, trail = streak_stack()
    options = {"coadder": CompareWarpCoadder, "input_map": True}
    plain, searched = (
        coadd(warps, find_streaks=find, **options) for find in (False, True)
    )
    assert plain.uses(1)[trail].mean() > 0.2
    assert searched.uses(1)[trail].mean() < 0.01
    assert searched.n_image[~trail].mean() > 4.9


def of_wrong_variance(factor):
    """Return warps of which the third shows an artifact."""
    warps = observe(6, Scene(shape=(300, 300)))
    warps = [replace(w, variance=w.variance * np.float32(factor)) for w in warps]
    image = np.array(warps[2].image)
    image[100:103, 100:103] += 60.0
    return [*warps[:2], replace(warps[2], image=image), *warps[3:]]


@pytest.mark.parametrize("factor", [0.25, 4.0])
def test_a_wrong_variance_plane_does_not_mislead_the_comparison(factor):
    result = coadd(of_wrong_variance(factor), coadder=CompareWarpCoadder)
    assert result.metrics["clipped_fraction"] < 1e-3
    assert result.n_image[101, 101] == 5


def test_the_variance_plane_may_be_taken_at_its_word():
    options = {"coadder": CompareWarpCoadder, "scale_variance": False}
    result = coadd(of_wrong_variance(0.1), **options)
    assert result.metrics["clipped_fraction"] > 0.01


def compared(change=lambda image: None, **options):
    """Return the coadd of five epochs, the second of which has been changed."""
    warps = observe(5, Scene(shape=(120, 120)))
    image = np.array(warps[1].image)  # its sigma is 10
    change(image)
    warps[1] = replace(warps[1], image=image)
    return coadd(warps, coadder=CompareWarpCoadder, artifact_map=True, **options)


BLOB = np.s_[50:62, 50:62]


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("strength", [7.0, 200.0])
def test_deviations_of_both_signs_are_artifacts(sign, strength):
    def spoil(image):
        image[BLOB] += sign * strength * 10

    result = compared(spoil)
    assert result.clips(1)[BLOB].all()
    assert not any(result.clips(epoch)[BLOB].any() for epoch in (0, 2, 3, 4))


def test_the_threshold_tells_what_is_a_deviation():
    def spoil(image):
        image[BLOB] += 10

    assert compared(spoil).clips(1)[BLOB].mean() > 0.9
    assert not compared(spoil, threshold=30.0).clips(1).any()


def test_the_second_threshold_tells_how_far_a_deviation_reaches():
    def spoil(image):
        image[BLOB] += 1000

    sizes = [
        compared(spoil, grow_threshold=sigma).clips(1).sum() for sigma in (1.5, 4, 40)
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 1.3 * sizes[-1]


# What two of seven epochs show, and what three do beside it.
SHOWN_BY_TWO, SHOWN_BY_THREE = np.s_[40:80, 50:56], np.s_[40:80, 56:66]


def overlapping(**options):
    """Return the coadd of seven epochs with a region that three of them share."""
    warps = observe(7, Scene(shape=(120, 120)))
    for number in range(3):
        image = np.array(warps[number].image)
        image[SHOWN_BY_THREE] += 300
        if number < 2:
            image[SHOWN_BY_TWO] += 300
        warps[number] = replace(warps[number], image=image)
    return coadd(warps, coadder=CompareWarpCoadder, artifact_map=True, **options)


def test_the_part_that_few_epochs_show_decides_what_becomes_of_a_deviation():
    left_out = [
        overlapping(spatial_threshold=t).clips(0)[SHOWN_BY_TWO].any()
        for t in (0.2, 0.5, 1.0)
    ]
    assert left_out == [True, False, False]


@pytest.mark.parametrize(
    ("options", "is_artifact"),
    [
        ({}, True),
        ({"max_epochs": 0, "max_fraction_high": 0.0}, False),
        ({"max_epochs": 0, "max_fraction_high": 0.2}, True),
        ({"max_fraction_low": 0.1}, False),
        ({"spatial_threshold": 1.0}, False),
    ],
)
def test_the_number_of_epochs_that_may_show_an_artifact_can_be_set(
    options, is_artifact
):
    def spoil(image):
        image[BLOB] += 500

    assert compared(spoil, **options).clips(1).any() == is_artifact


def test_a_deviation_needs_good_pixels():
    warps = observe(5, Scene(shape=(120, 120)))
    image, mask = np.array(warps[1].image), np.array(warps[1].mask)
    image[BLOB] += 500
    mask[45:58, 40:75] |= MaskPlane.SUSPECT  # more than half of it
    warps[1] = replace(warps[1], image=image, mask=mask)
    few, many = (
        coadd(warps, coadder=CompareWarpCoadder, min_good_fraction=fraction)
        for fraction in (0.05, 0.9)
    )
    assert (few.n_image[BLOB] == 4).all()
    assert (many.n_image[BLOB] == 5).all()


@pytest.mark.parametrize(("comparable", "is_artifact"), [(0.25, True), (0.0, False)])
def test_the_wings_of_what_moves_do_not_count_as_other_epochs(comparable, is_artifact):
    # It moves by its FWHM: the wings of three epochs reach the middle of each.
    warps = [
        Scene(shape=(60, 120), sources=(PointSource(30 + 4 * n, 30, 1e5),)).observe(
            visit=n + 1, seed=n, fwhm=4.0
        )
        for n in range(10)
    ]
    result = coadd(
        warps, coadder=CompareWarpCoadder, artifact_map=True, comparable=comparable
    )
    cores = [result.clips(n)[29:32, 29 + 4 * n : 32 + 4 * n] for n in range(10)]
    assert [core.all() for core in cores[2:-2]] == [is_artifact] * 6


def star_of(fluxes):
    """Return epochs of one star that changes."""
    return [
        Scene(shape=(120, 120), sources=(PointSource(60, 60, flux),)).observe(
            visit=number + 1, seed=number
        )
        for number, flux in enumerate(fluxes)
    ]


@pytest.mark.parametrize(
    ("last", "most", "n_used"), [(5e4, 3.0, 5), (5e4, 1.0, 4), (1e3, 3.0, 5)]
)
def test_how_much_a_source_may_vary_can_be_set(last, most, n_used):
    warps = star_of([2e4, 2e4, 2e4, 2e4, last])
    options = {"max_variation": most, "protect_snr": None}
    result = coadd(warps, coadder=CompareWarpCoadder, **options)
    assert (result.n_image[58:63, 58:63] == n_used).all()


def test_the_static_sky_is_made_of_what_lies_near_the_median():
    # Two of five raise the mean of all so much that the others deviate from it, too.
    warps = observe(5, Scene(shape=(120, 120)))
    for number in (0, 1):
        image = np.array(warps[number].image)
        image[BLOB] += 120
        warps[number] = replace(warps[number], image=image)
    near, all_of_them = (
        coadd(warps, coadder=CompareWarpCoadder, artifact_map=True, clip=clip)
        for clip in (3.0, 1e3)
    )
    assert near.clips(0)[BLOB].all()
    assert not near.clips(3)[BLOB].any()
    assert not all_of_them.clips(0)[BLOB].any()
