"""Proper subtraction of simulated skies: what it returns, and what it survives."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.fft
from scipy import ndimage

from streamdiff.errors import SubtractionError
from streamdiff.imaging.point_source import forced_flux
from streamdiff.model import (
    UNUSABLE,
    ConstantPsf,
    Convolved,
    Difference,
    FluxScale,
    GridPsf,
    MaskPlane,
    Reason,
    Skip,
)
from streamdiff.testing import (
    Camera,
    GaussianProfile,
    MoffatProfile,
    NoData,
    PointSource,
    Scene,
    SkyGradient,
    VaryingProfile,
)
from streamdiff_zogy import Domain, Fluxes, Variation, ZogySubtractor

SHAPE = (300, 320)
FIELD = Scene.star_field(shape=SHAPE, seed=3, flux_range=(500, 1e5))
FEW = Scene(shape=SHAPE, sources=(PointSource(150, 150, 2e4),))
CROWDED = Scene.star_field(shape=SHAPE, seed=4, density_per_mpx=20_000)


def observe(sky, fwhm, seed, noise=10.0, **options):
    return sky.observe(fwhm=fwhm, noise=noise, seed=seed, **options)


def pair(sky=FIELD, **science):
    return observe(sky, 3.5, 2, **science), observe(sky, 2.9, 1, noise=5.0)


def subtract(science, template, **options):
    difference = ZogySubtractor(**options).subtract(science, template)
    assert isinstance(difference, Difference)
    return difference


# Nearer to the border, filters reach what is random beyond it.
INNER = np.s_[32:-32, 32:-32]


def good(difference):
    return (difference.mask == 0) & np.isfinite(difference.variance)


def test_new_source_stands_out_of_an_empty_difference():
    _, template = pair()
    science = observe(FIELD.add(PointSource(100.3, 120.8, 3e3)), 3.5, 2)
    difference = subtract(science, template)
    peak = np.unravel_index(np.argmax(difference.score), difference.shape)
    assert peak == (121, 100)
    assert difference.score.max() > 20
    around = np.s_[115:128, 94:107]
    rest = np.where(good(difference), difference.score, 0)
    rest[around] = 0
    assert np.abs(rest).max() < 5.5


def test_difference_says_how_it_was_made():
    difference = subtract(*pair())
    assert difference.convolved is Convolved.BOTH
    assert difference.flux_scale is FluxScale.TEMPLATE
    assert isinstance(difference.psf, ConstantPsf)
    assert {"f_n", "f_r", "astrometric_sigma_x", "science_noise"} <= set(
        difference.metrics
    )


def test_psf_that_varies_gives_one_that_varies():
    profile = VaryingProfile(middle=GaussianProfile(fwhm=3.5))
    science = FIELD.observe(profile=profile, noise=10, seed=2)
    difference = subtract(science, pair()[1])
    assert isinstance(difference.psf, GridPsf)


def test_inputs_stay_as_they_are():
    science, template = pair()
    before = [p.copy() for e in (science, template) for p in (e.image, e.variance)]
    subtract(science, template)
    after = [p for e in (science, template) for p in (e.image, e.variance)]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_swapped_images_give_the_negative():
    science, template = pair()
    options = {"fluxes": Fluxes.CALIBRATED, "sigma_x": 0.1, "sigma_y": 0.1}
    options["subtract_background"] = False
    forth = subtract(science, template, **options)
    back = subtract(
        replace(template, id=science.id), replace(science, id=template.id), **options
    )
    # Transforms in single precision.
    tolerance = 1e-5 * np.abs(science.image).max()
    assert np.abs(forth.image + back.image)[INNER].max() < tolerance
    assert np.allclose(forth.score[INNER], -back.score[INNER], atol=1e-2)
    assert np.allclose(forth.variance[INNER], back.variance[INNER], rtol=1e-3)


@pytest.mark.parametrize("sky", [FIELD, CROWDED], ids=["field", "crowded"])
@pytest.mark.parametrize("scale", [0.5, 1.3])
def test_flux_scale_is_found(sky, scale):
    difference = subtract(*pair(sky, flux_scale=scale))
    assert difference.kernel_sum == pytest.approx(scale, rel=0.003)
    assert difference.metrics["f_n"] == difference.kernel_sum


def test_flux_is_on_the_scale_of_the_chosen_image():
    change = PointSource(100, 120, 2e4)
    _, template = pair()
    science = observe(FIELD.add(change), 3.5, 2, flux_scale=0.5)
    native = subtract(science, template)
    for scale, expected in ((FluxScale.TEMPLATE, 2e4), (FluxScale.SCIENCE, 1e4)):
        difference = native.on_scale(scale)
        found = forced_flux(difference, [100], [120], exclude=UNUSABLE)
        assert abs(found.flux[0] - expected) < 4 * found.flux_error[0]


def test_calibrated_images_need_no_stars():
    difference = subtract(*pair(FEW))
    assert difference.kernel_sum == 1
    assert difference.metrics["astrometric_sigma_measured"] == 0


def test_uncalibrated_images_without_stars_are_skipped():
    science, template = pair(FEW)
    science = replace(science, photometric=False)
    skip = ZogySubtractor().subtract(science, template)
    assert isinstance(skip, Skip)
    assert skip.reason is Reason.INSUFFICIENT_KERNEL_SOURCES


@pytest.mark.parametrize("sky", [FIELD, CROWDED], ids=["field", "crowded"])
def test_skies_may_differ_in_level_and_slope(sky):
    slope = SkyGradient(level=40.0, slope_x=15.0, slope_y=-8.0)
    science, template = pair(sky, artifacts=[slope])
    even = subtract(*pair(sky))
    difference = subtract(science, template)
    inside = good(difference) & good(even)
    # 5 boxes x 5 boxes of 4096 px know the level to 0.14 nJy each.
    change = (difference.image - even.image)[inside]
    assert np.abs(change).max() < 1.0
    assert abs(difference.score[inside].mean()) < 0.05


def test_background_is_kept_on_request():
    slope = SkyGradient(level=40.0)
    difference = subtract(*pair(artifacts=[slope]), subtract_background=False)
    assert np.median(difference.image) == pytest.approx(40, abs=1)


def test_matched_template_is_what_was_subtracted():
    science, template = pair()
    difference = subtract(science, template, matched_template=True)
    empty = replace(template, image=np.zeros(SHAPE))
    options = {"fluxes": Fluxes.CALIBRATED, "subtract_background": False}
    alone = subtract(science, empty, **options)
    same = subtract(science, template, matched_template=True, **options)
    tolerance = 1e-5 * np.abs(science.image).max()
    rest = alone.image - same.matched_template
    assert np.abs(rest - same.image)[INNER].max() < tolerance
    assert difference.matched_template.shape == SHAPE
    assert subtract(science, template).matched_template is None


def test_sums_over_pixels_agree_with_transforms():
    sky = Scene(shape=(61, 63), sources=(PointSource(30.2, 28.7, 2e4),))
    changed = sky.add(PointSource(38, 40, 2e3))
    science, template = observe(changed, 3.5, 2), observe(sky, 2.9, 1, noise=5.0)
    by_sum = subtract(science, template, domain=Domain.IMAGE)
    by_transform = subtract(science, template)
    inside = np.s_[12:-12, 12:-12]
    for plane in ("image", "score", "variance"):
        a, b = (getattr(d, plane)[inside] for d in (by_sum, by_transform))
        assert np.abs(a - b).max() <= 0.01 * np.abs(b).max()


def test_cells_agree_with_one_filter_where_nothing_varies():
    science, template = pair()
    whole = subtract(science, template, variation=Variation.CONSTANT)
    cells = subtract(science, template, variation=Variation.CELLS)
    sigma = np.sqrt(whole.variance)
    assert np.abs((whole.image - cells.image) / sigma).max() < 0.05
    assert np.abs(whole.score - cells.score).max() < 0.05


def test_cells_leave_no_seam_on_a_bright_star():
    # A smooth PSF, a star on every corner of a cell and beside it: no step.
    profile = VaryingProfile(middle=GaussianProfile(fwhm=3.5))
    places = [(x, y) for x in (64, 128, 150, 192) for y in (75, 150, 225)]
    sky = Scene(shape=SHAPE, sources=tuple(PointSource(*p, 3e4) for p in places))
    science = sky.observe(profile=profile, noise=10, seed=2)
    template = observe(sky, 2.9, 1, noise=5.0)
    difference = subtract(science, template, scatter_floor=0)
    for x, y in places:
        box = difference.score[y - 8 : y + 9, x - 8 : x + 9]
        assert np.abs(box).max() < 4.5


def test_holes_do_not_ring():
    science, template = pair(artifacts=[NoData(x=(100, 130), y=(0, 300))])
    difference = subtract(science, template)
    hole = np.zeros(SHAPE, bool)
    hole[:, 100:130] = True
    no_data = MaskPlane.NO_DATA.in_mask(difference.mask)
    assert no_data[hole].all()
    assert no_data[:, :90].sum() + no_data[:, 140:].sum() == 0
    assert (difference.score[no_data] == 0).all()
    assert np.isinf(difference.variance[no_data]).all()
    beside = np.zeros(SHAPE, bool)
    beside[:, 80:95] = beside[:, 135:150] = True
    beside &= ~no_data
    assert difference.score[beside].std() == pytest.approx(1, abs=0.15)
    assert np.abs(difference.score[beside]).max() < 5


@pytest.mark.parametrize("fwhm", [3.5, 2.5], ids=["wider", "sharper"])
@pytest.mark.parametrize("sky", [FIELD, CROWDED], ids=["field", "crowded"])
def test_stars_that_holes_cut_are_no_detections(sky, fwhm):
    holes = [NoData(x=(x, x + 10), y=(0, 300)) for x in range(20, 300, 40)]
    science = observe(sky, fwhm, 2, artifacts=holes)
    difference = subtract(science, observe(sky, 2.9, 1, noise=5.0))
    # Of 50,000 pixels of noise, 0.03 are beyond 5 sigma.
    assert np.abs(difference.score[difference.mask == 0]).max() < 5.5


def test_stars_that_the_border_cuts_are_marked():
    cut = [PointSource(x, y, 1e5) for x, y in ((-1, 50), (319.4, 90), (70, 300.4))]
    difference = subtract(*pair(FIELD.add(*cut)))
    assert np.abs(difference.score[difference.mask == 0]).max() < 5.5


def test_noise_at_the_border_is_that_of_the_variance():
    difference = subtract(*pair(FEW), subtract_background=False)
    border = np.ones(SHAPE, bool)
    border[2:-2, 2:-2] = False
    pull = difference.image / np.sqrt(difference.variance)
    # 2,500 pixels know it to 1.4 %; the score has fewer independent values.
    assert pull[border].std() == pytest.approx(1, abs=0.06)
    assert difference.score[border].std() == pytest.approx(1, abs=0.3)


def test_saturated_stars_are_marked():
    camera = Camera(saturation=3e4)
    science, template = saturated_pair(GaussianProfile, camera)
    difference = subtract(science, template)
    assert MaskPlane.SAT.in_mask(difference.mask)[150, 150]
    assert MaskPlane.SAT_TEMPLATE.in_mask(difference.mask)[150, 150]


@pytest.mark.parametrize("profile", [GaussianProfile, MoffatProfile])
def test_saturated_cores_do_not_ring(profile):
    difference = subtract(*saturated_pair(profile, Camera(saturation=3e4, gain=1.5)))
    score = difference.score[difference.mask == 0]
    assert np.abs(score).max() < 6
    assert score.std() == pytest.approx(1, abs=0.05)


def test_saturation_spreads_no_farther_than_the_core_of_the_filters():
    science, template = saturated_pair(GaussianProfile, Camera(saturation=3e4))
    saturated = MaskPlane.SAT.in_mask(science.mask | template.mask)
    difference = subtract(science, template)
    planes = MaskPlane.SAT | MaskPlane.SAT_TEMPLATE
    grown = planes.in_mask(difference.mask)
    # Cores are narrower than the PSFs, of 3.5 and 2.9 px.
    near = ndimage.distance_transform_edt(~saturated) <= 6
    assert not grown[~near].any()
    # Rings reach farther.
    suspect = MaskPlane.SUSPECT.in_mask(difference.mask)
    assert suspect[grown].all()
    assert suspect[INNER].sum() > grown[INNER].sum()


def saturated_pair(profile, camera):
    sky = FIELD.add(PointSource(150, 150, 3e6), PointSource(60.4, 220.3, 1e6))
    return (
        sky.observe(profile=profile(fwhm=3.5), noise=10, seed=2, camera=camera),
        sky.observe(profile=profile(fwhm=2.9), noise=5, seed=1, camera=camera),
    )


def test_the_same_exposure_gives_the_same_difference():
    science, template = pair(artifacts=[NoData(x=(100, 130), y=(0, 300))])
    first, second = (subtract(science, template) for _ in range(2))
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.score, second.score)


@pytest.mark.parametrize("variation", list(Variation))
def test_threads_do_not_change_a_bit(variation):
    science, template = pair()
    alone = subtract(science, template, variation=variation)
    with scipy.fft.set_workers(3):
        together = subtract(science, template, variation=variation)
    for name in ("image", "variance", "mask", "score"):
        one, other = getattr(alone, name), getattr(together, name)
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e30])
def test_pixels_that_are_no_numbers_harm_only_their_surroundings(value):
    science, template = pair()
    clean = subtract(science, template)
    image = science.image.copy()
    image[200, 200] = value
    difference = subtract(replace(science, image=image), template)
    assert MaskPlane.NO_DATA.in_mask(difference.mask)[200, 200]
    assert np.isfinite(difference.image).all()
    assert np.isfinite(difference.score).all()
    elsewhere = np.ones(SHAPE, bool)
    elsewhere[180:221, 180:221] = False
    change = (difference.image - clean.image)[elsewhere]
    assert np.abs(change).max() < 0.5


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 40), (7, 5), (32, 32), (33, 64), (257, 31)]
)
def test_images_of_any_shape_are_subtracted(shape):
    sky = Scene(shape=shape)
    for profile in (
        GaussianProfile(fwhm=3.0),
        VaryingProfile(middle=GaussianProfile(fwhm=3)),
    ):
        science = sky.observe(profile=profile, noise=10, seed=1)
        template = sky.observe(fwhm=3.5, noise=5, seed=2)
        difference = subtract(science, template)
        assert difference.shape == shape
        assert np.isfinite(difference.score).all()


def test_images_without_a_usable_pixel_are_skipped():
    science, template = pair()
    for exposure in (
        replace(science, image=np.full(SHAPE, np.nan)),
        replace(science, mask=np.full(SHAPE, int(MaskPlane.BAD))),
        replace(science, variance=np.zeros(SHAPE)),
    ):
        skip = ZogySubtractor().subtract(exposure, template)
        assert isinstance(skip, Skip)
        assert skip.reason is Reason.NO_VALID_PIXELS


def test_images_of_different_shapes_are_refused():
    science = observe(Scene(shape=(50, 60)), 3.5, 1)
    with pytest.raises(SubtractionError, match=r"\(50, 60\).*warp"):
        ZogySubtractor().subtract(science, pair()[1])


def test_psfs_that_are_centred_apart_are_refused():
    science, template = pair()
    shifted = ConstantPsf(GaussianProfile(fwhm=3.5).stamp(0.3, 0.0))
    with pytest.raises(SubtractionError, match=r"0\.30 px apart"):
        ZogySubtractor().subtract(replace(science, psf=shifted), template)


def test_psfs_of_different_unequal_sides_are_fine():
    science, template = pair()
    y, x = np.mgrid[-10:11, -14:15]
    long = ConstantPsf(np.exp(-4 * np.log(2) * (x**2 + y**2) / 3.5**2))
    same = subtract(science, template)
    other = subtract(replace(science, psf=long), template)
    assert np.abs(same.score - other.score)[good(same)].max() < 0.1
