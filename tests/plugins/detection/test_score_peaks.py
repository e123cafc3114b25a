from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from streamdiff.model import (
    Convolved,
    Difference,
    ExposureId,
    FluxScale,
    MaskPlane,
    MatchingKernel,
    Noise,
)
from streamdiff.model.psf import noise_equivalent_area
from streamdiff.testing import GaussianProfile, PointSource, Scene, VaryingProfile
from streamdiff_detection import ScorePeaksFinder

FWHM = 4.0
PROFILE = GaussianProfile(fwhm=FWHM)
# The flux of unit significance where the noise of a pixel is 1.
SIGMA = np.sqrt(noise_equivalent_area(PROFILE.stamp()))


def observe(sources=(), *, shape=(256, 256), seed=1, profile=PROFILE, noise=1.0):
    """Return a white difference; fluxes are in units of their significance."""
    changes = tuple(PointSource(x, y, SIGMA * snr) for x, y, snr in sources)
    scene = Scene(sources=changes, shape=shape)
    rng = np.random.default_rng(seed)
    return Difference(
        id=ExposureId(instrument="test", visit=1, detector=0, band="r"),
        image=scene.render(profile) + rng.normal(0, noise, shape),
        variance=np.ones(shape),
        mask=np.zeros(shape),
        psf=profile.psf(shape),
        wcs=scene.wcs,
        flux_scale=FluxScale.TEMPLATE,
        kernel_sum=1.0,
        convolved=Convolved.NONE,
        noise=Noise.WHITE,
    )


def find(difference, **options):
    return ScorePeaksFinder(**options).find(difference)


def grid(snr, *, start=40, stop=230, step=30, offset=0.0):
    places = np.arange(start, stop, step) + offset
    return [(x, y, snr) for y in places for x in places]


@pytest.fixture(scope="module")
def blank():
    return find(observe(shape=(2048, 2048)), threshold=4.0)


def test_significance_of_blank_sky_has_unit_variance(blank):
    # 4 Mpx of a map correlated over 4 pi sigma^2 = 36 px are 116,000 values.
    assert blank[0].score.std() == pytest.approx(1, abs=0.01)


def test_false_positives_are_those_of_filtered_white_noise(blank):
    expected = 0
    for seed in range(2):
        noise = np.random.default_rng(100 + seed).normal(size=(2048, 2048))
        score = ndimage.gaussian_filter(noise, FWHM / np.sqrt(8 * np.log(2)))
        score /= score.std()
        for sky in (score, -score):
            highest = ndimage.maximum_filter(sky, 3) == sky
            expected += np.count_nonzero(highest & (sky > 4)) / 2
    # About 90 in each image: the comparison is good to 13 sigma of a difference.
    assert len(blank[1]) == pytest.approx(expected, abs=3 * np.sqrt(1.5 * expected))


def test_both_signs_are_as_frequent(blank):
    negative = np.count_nonzero(blank[1]["isNegative"])
    n = len(blank[1])
    assert negative == pytest.approx(n / 2, abs=3 * np.sqrt(n) / 2)


def test_at_five_sigma_hardly_anything_is_false(blank):
    assert np.count_nonzero(blank[1]["snr"] >= 5) <= 4


def test_polarity_only_changes_the_sign():
    difference = observe(grid(20))
    _, positive = find(difference)
    _, negative = find(replace(difference, image=-difference.image))
    assert negative["isNegative"].sum() == (~positive["isNegative"]).sum()
    for name in ("x", "y", "snr", "footprintArea"):
        assert positive[name] == pytest.approx(negative[name], rel=1e-5)


def test_completeness_is_that_of_the_matched_filter():
    # Half of the sources at the threshold are above it, and more where the
    # highest of the pixels around is taken: 84 % at 6 sigma, at least.
    sources = grid(6, stop=1000, start=24, step=24, offset=0.4)
    _, found = find(observe(sources, shape=(1024, 1024)))
    positions = np.array(sources)[:, :2]
    distance = np.hypot(
        positions[:, :1] - found["x"], positions[:, 1:] - found["y"]
    ).min(axis=1)
    detected = np.mean(distance < 3)
    n = len(sources)
    assert detected > 0.841 - 3 * np.sqrt(0.841 * 0.159 / n)
    assert detected < 0.95


def test_significance_is_that_of_the_source():
    _, found = find(observe(grid(100, offset=0.0)))
    # The highest pixel is the source's own; the error of a significance is 1.
    assert len(found) == 49
    assert found["snr"].mean() == pytest.approx(100, abs=4 / 7)


def test_positions_are_as_good_as_the_noise_allows():
    sources = np.array(grid(50, offset=0.3))
    _, found = find(observe(sources))
    # The error per axis is the width of the PSF by sqrt(2) / snr, at least; a
    # parabola through three pixels adds a little.
    error = np.sqrt(2) * FWHM / np.sqrt(8 * np.log(2)) / 50
    for name, column in (("x", 0), ("y", 1)):
        offset = found[name] - sources[:, column]
        assert np.abs(offset).max() < 5 * error + 0.02


def test_peaks_are_ordered_by_row_then_column():
    _, found = find(observe(grid(20)))
    row, column = np.rint(found["y"]), np.rint(found["x"])
    assert np.array_equal(np.lexsort((column, row)), np.arange(len(found)))


def test_result_is_the_same_every_time():
    difference = observe(grid(20))
    first, second = find(difference), find(difference)
    assert np.array_equal(first[0].score, second[0].score)
    for name, values in first[1].values.items():
        assert np.array_equal(values, second[1][name])


@pytest.mark.parametrize("snr", [50, 1000, 20000])
def test_bright_source_is_found_once(snr):
    _, found = find(observe(grid(snr, step=60)))
    assert len(found) == 16


@pytest.mark.parametrize("snr", [15, 40])
def test_sources_a_few_widths_apart_are_split(snr):
    pairs = [(x + dx, y, snr) for x, y, _ in grid(0, step=60) for dx in (0, 1.6 * FWHM)]
    _, found = find(observe(pairs))
    assert len(found) == len(pairs)


def test_lobes_of_a_dipole_are_one_source():
    sources = [
        (x + dx, y, snr)
        for x, y, _ in grid(0, step=60)
        for dx, snr in ((0, 60), (2.0, -60))
    ]
    result, found = find(observe(sources))
    assert len(found) == 16
    x, y = int(found["x"][0]), int(found["y"][0])
    around = np.bitwise_or.reduce(result.mask[y - 5 : y + 6, x - 5 : x + 6], axis=None)
    assert MaskPlane(int(around)) == MaskPlane.DETECTED | MaskPlane.DETECTED_NEGATIVE


def test_rings_of_a_bright_source_are_no_sources():
    y, x = np.mgrid[-25:26, -25:26]
    r2 = (x**2 + y**2) / 3.0
    # A PSF with a negative ring, as whitening makes them.
    stamp = np.exp(-r2 / 2) - 0.08 * np.exp(-r2 / 8)
    stamp /= stamp.sum()
    difference = observe(shape=(200, 200))
    image = difference.image.copy()
    image[75:126, 75:126] += (3000 / np.sqrt(np.sum(stamp**2)) * stamp).astype("f4")
    psf = type(difference.psf)(stamp)
    result, found = find(replace(difference, image=image, psf=psf))
    assert result.metrics["n_peaks"] > 1
    assert len(found) == 1


def test_footprints_cover_the_source():
    result, found = find(observe([(100, 100, 50), (180, 60, -30)]))
    assert (found["bboxSize"] > 2 * FWHM).all()
    assert (found["footprintArea"] <= found["bboxSize"] ** 2).all()
    assert MaskPlane.DETECTED.in_mask(result.mask)[100, 100]
    assert MaskPlane.DETECTED_NEGATIVE.in_mask(result.mask)[60, 180]
    assert not MaskPlane.DETECTED.in_mask(result.mask)[20, 20]


@pytest.mark.parametrize("plane", ["BAD", "SAT", "CR", "NO_DATA", "EDGE"])
def test_nothing_is_centred_on_rejected_pixels(plane):
    difference = observe([(100, 100, 50)])
    mask = difference.mask.copy()
    mask[97:104, 97:104] |= MaskPlane[plane]
    _, found = find(replace(difference, mask=mask))
    assert len(found) == 0


def test_masked_pixels_make_no_peaks():
    difference = observe()
    image, mask = difference.image.copy(), difference.mask.copy()
    image[50:53, 80], mask[50:53, 80] = 1e5, MaskPlane.CR
    image[150:160, 80:90], mask[150:160, 80:90] = np.nan, MaskPlane.NO_DATA
    variance = np.where(mask == MaskPlane.NO_DATA, np.inf, difference.variance)
    result, found = find(replace(difference, image=image, variance=variance, mask=mask))
    assert len(found) == 0
    assert np.isfinite(result.score).all()
    assert (result.score[mask == MaskPlane.NO_DATA] == 0).all()


def test_source_beside_a_masked_pixel_keeps_its_significance():
    difference = observe([(100, 100, 50)])
    image, mask = difference.image.copy(), difference.mask.copy()
    image[104, 100], mask[104, 100] = 1e5, MaskPlane.CR
    _, found = find(replace(difference, image=image, mask=mask))
    # The pixel, 4 px away, has less than a thousandth of the PSF's power.
    assert found["snr"] == pytest.approx([50], abs=4)


def test_wings_of_saturated_stars_grow_with_the_star():
    sources = [(40, 40, 30), (120, 150, 30)]
    difference = observe(sources)
    mask = difference.mask.copy()
    # 4 saturated pixels 15 px away reach 8 px; 900 reach 30 px.
    mask[40:42, 55:57] = MaskPlane.SAT
    mask[135:165, 140:170] = MaskPlane.SAT_TEMPLATE
    result, found = find(replace(difference, mask=mask))
    assert np.rint(found["x"]).tolist() == [40]
    assert result.metrics["n_peaks_in_wings"] >= 1


def test_score_that_is_there_is_used():
    difference = observe()
    score = np.random.default_rng(7).normal(0, 0.1, difference.shape)
    score[60, 70] = -9
    # The image has nothing there whose width could be told.
    _, found = find(replace(difference, score=score), min_width=0)
    assert np.rint(found["x"]).tolist() == [70]
    assert np.rint(found["y"]).tolist() == [60]
    assert found["snr"] == pytest.approx([9], abs=0.1)
    assert found["isNegative"].tolist() == [True]


def test_noise_that_a_score_does_not_account_for_is_divided_out():
    difference = observe(shape=(512, 512))
    white = np.random.default_rng(5).normal(size=difference.shape)
    score = ndimage.gaussian_filter(white, 2.5)
    result, found = find(replace(difference, score=2 * score / score.std()))
    assert result.metrics["score_std"] == pytest.approx(2, rel=0.1)
    # 3,000 independent values.
    assert result.score.std() == pytest.approx(1, abs=0.1)
    assert len(found) == 0


def test_place_of_a_source_is_where_its_flux_peaks():
    difference = observe([(100, 100, 60)])
    # Of a star 2 px beside it, 1/4 may be left: there the noise is less.
    template = Scene(sources=(PointSource(108, 100, 1e4),), shape=(256, 256))
    plain = find(difference)[1]
    difference = replace(difference, matched_template=template.render(PROFILE))
    _, found = find(difference, relative_noise=0.02)
    assert found["x"] == pytest.approx(plain["x"], abs=1e-3)


def test_trails_are_marked_and_have_no_sources():
    difference = observe([(100, 40, 50)], shape=(256, 256))
    row = np.zeros((256, 256))
    row[150] = 8 * SIGMA
    image = difference.image + ndimage.gaussian_filter1d(row, FWHM / 2.355, axis=0)
    result, found = find(replace(difference, image=image), reject_streaks=False)
    assert np.rint(found["x"]).tolist() == [100]
    assert MaskPlane.STREAK.in_mask(result.mask)[150].mean() > 0.9
    assert not result.score[150].any()
    lenient = {"reject_trails": False, "reject_streaks": False}
    assert len(find(replace(difference, image=image), **lenient)[1]) > 1


def test_correlated_noise_is_calibrated_on_itself():
    difference = observe(shape=(512, 512))
    smooth = ndimage.gaussian_filter(difference.image, 1.5)
    kernel = MatchingKernel(
        basis=np.ones((1, 3, 3)), coefficients=np.ones((1, 1)), image_shape=(512, 512)
    )
    result, _ = find(
        replace(
            difference, image=smooth, noise=Noise.CORRELATED, matching_kernel=kernel
        )
    )
    # 7,000 independent values.
    assert result.score.std() == pytest.approx(1, abs=0.05)


def test_covariance_factor_lowers_the_significance():
    difference = observe(grid(40))
    _, white = find(difference)
    _, correlated = find(replace(difference, covariance_factor=4.0))
    assert correlated["snr"] == pytest.approx(white["snr"] / 2, rel=1e-4)


def test_relative_noise_hides_residuals_of_bright_stars():
    difference = observe([(100, 100, 50)])
    template = Scene(sources=(PointSource(100, 100, 1e5),), shape=(256, 256))
    difference = replace(difference, matched_template=template.render(PROFILE))
    assert len(find(difference)[1]) == 1
    assert len(find(difference, relative_noise=0.05)[1]) == 0


def test_varying_psf_is_followed():
    profile = VaryingProfile(middle=PROFILE, fwhm_slope=(0.4, 0))
    flux_of_unit = 100 * SIGMA
    result, found = find(observe(grid(100), profile=profile))
    psf = result.psf
    expected = [
        flux_of_unit * np.sqrt(np.sum(psf.centred_at(x, y) ** 2))
        for x, y in zip(found["x"], found["y"], strict=True)
    ]
    # From FWHM 2.4 to 5.6 px; the wings of a PSF are cut at half a cell, and the
    # error of a significance is 1.
    assert np.ptp(expected) > 50
    assert np.mean(found["snr"] - expected) == pytest.approx(0, abs=4 / 7)


def test_significance_with_a_varying_psf_has_unit_variance():
    profile = VaryingProfile(middle=PROFILE, fwhm_slope=(0.4, 0))
    result, _ = find(observe(shape=(1024, 1024), profile=profile))
    for half in (result.score[:, :512], result.score[:, 512:]):
        # 512 x 1024 pixels, correlated over at most 4 pi sigma^2 = 71.
        assert half.std() == pytest.approx(1, abs=3 / np.sqrt(2 * half.size / 71))


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (3, 2), (20, 31)])
def test_tiny_images_are_searched(shape):
    result, found = find(observe(shape=shape))
    assert result.score.shape == shape
    assert len(found) == 0


def test_image_without_data_has_no_sources():
    difference = observe(shape=(64, 64))
    mask = np.full((64, 64), MaskPlane.NO_DATA)
    result, found = find(
        replace(
            difference,
            image=np.zeros((64, 64)),
            variance=np.full((64, 64), np.inf),
            mask=mask,
        )
    )
    assert len(found) == 0
    assert (result.score == 0).all()


def test_no_more_sources_than_ids():
    rng = np.random.default_rng(1)
    difference = observe(shape=(512, 512))
    # Peaks everywhere: no sky is left to tell the noise from.
    score, peaks = rng.normal(size=(512, 512)), (171, 171)
    score[::3, ::3] = rng.choice([-1, 1], peaks) * rng.uniform(50, 100, peaks)
    finder = {"min_separation": 0, "lobe_separation": 0, "profile_tolerance": 0}
    finder |= {"background_box": 0, "min_width": 0, "reject_trails": False}
    narrow = GaussianProfile(fwhm=0.5).psf((1, 1))
    result, found = find(replace(difference, score=score, psf=narrow), **finder)
    assert len(found) == 1 << 14
    assert result.metrics["n_peaks_over_limit"] > 0
    assert found["snr"].min() > 50


def test_noise_is_told_away_from_what_is_filled_in():
    # Nothing is significant where pixels are filled in, and half of the map is.
    difference = observe(shape=(512, 512))
    score, mask = find(difference)[0].score.copy(), np.zeros((512, 512), np.int32)
    score[:, 256:] *= 1.5
    score[:, :256] *= 0.1
    mask[:, :256] |= MaskPlane.SUSPECT
    result, _ = find(replace(difference, score=score, mask=mask))
    # 1.3e5 pixels of a map correlated over 36 are 3,600 values: 1.2 %.
    assert result.metrics["score_std"] == pytest.approx(1.5, rel=0.06)


def test_misspelt_plane_is_refused():
    with pytest.raises(ValueError, match="'SATURATED' is no mask plane"):
        ScorePeaksFinder(reject=("SATURATED",))
