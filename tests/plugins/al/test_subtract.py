"""Alard-Lupton subtraction of simulated skies."""

from dataclasses import replace

import numpy as np
import pytest

from streamdiff.errors import SubtractionError
from streamdiff.imaging.convolve import convolve
from streamdiff.model import (
    UNUSABLE,
    ConstantPsf,
    Convolved,
    Difference,
    FluxScale,
    MaskPlane,
    Reason,
    Skip,
)
from streamdiff.testing import (
    Camera,
    GaussianProfile,
    PointSource,
    Scene,
    SkyGradient,
    VaryingProfile,
)
from streamdiff_al import AlardLuptonSubtractor, Direction

NOISE = 10.0
FIELD = Scene.star_field(shape=(512, 512), seed=3)


def observe(scene, fwhm, seed, noise=NOISE, **options):
    return scene.observe(fwhm=fwhm, noise=noise, seed=seed, **options)


def subtract(science, template, **options):
    difference = AlardLuptonSubtractor(**options).subtract(science, template)
    assert isinstance(difference, Difference)
    return difference


def pulls(difference):
    """Return the difference in sigma, NaN where it is not to be used."""
    bad = (UNUSABLE | MaskPlane.EDGE).in_mask(difference.mask)
    return np.where(bad, np.nan, difference.image / np.sqrt(difference.variance))


def blank(scene, fwhm):
    """Return where stars, seen this wide, are below a quarter of the noise."""
    return scene.observe(fwhm=fwhm, noise=1e-3).image < NOISE / 4


def chi_star(difference, scene, fwhm, least=50.0):
    """Return the residual of static stars of peak S/N above ``least``, in noise."""
    pull = pulls(difference)
    noise = np.nanstd(pull[blank(scene, fwhm)])
    squares = []
    for star in scene.sources:
        peak = 4 * np.log(2) / np.pi / fwhm**2 * star.flux
        row, column = round(star.y), round(star.x)
        if peak > least * NOISE and min(row, column) >= 4:
            around = pull[row - 4 : row + 5, column - 4 : column + 5]
            if around.shape == (9, 9) and np.isfinite(around).all():
                squares.append(np.mean(around**2))
    assert len(squares) > 10
    return np.sqrt(np.mean(squares)) / noise


@pytest.fixture(scope="module")
def standard():
    """Template of 3 px and a quarter of the noise variance, science of 4 px."""
    science, template = observe(FIELD, 4.0, 1), observe(FIELD, 3.0, 2, NOISE / 2)
    return subtract(science, template)


@pytest.fixture(scope="module")
def reversed_case():
    science, template = observe(FIELD, 3.0, 1), observe(FIELD, 4.0, 2, NOISE / 2)
    return subtract(science, template)


def test_sharper_image_is_convolved(standard, reversed_case):
    assert standard.convolved is Convolved.TEMPLATE
    assert reversed_case.convolved is Convolved.SCIENCE


def test_static_stars_subtract_to_the_noise(standard):
    assert chi_star(standard, FIELD, 4.0) <= 1.05


def test_static_stars_subtract_to_the_noise_with_the_science_convolved(reversed_case):
    assert chi_star(reversed_case, FIELD, 4.0) <= 1.05


def test_variance_plane_predicts_the_scatter(standard, reversed_case):
    for difference in (standard, reversed_case):
        # Noise correlated over about 4 pi sigma^2 = 20 px of the 1e5 blank ones:
        # the scatter is known to 1 / sqrt(2 * 5e3), 1 %.
        scatter = np.nanstd(pulls(difference)[blank(FIELD, 4.0)])
        assert scatter == pytest.approx(1, abs=0.03)


def test_nothing_is_nan(standard):
    assert np.isfinite(standard.image).all()
    assert np.isfinite(standard.variance).all()
    assert np.isfinite(standard.matched_template).all()


def test_science_minus_matched_template_is_the_difference():
    science, template = observe(FIELD, 4.0, 1), observe(FIELD, 3.0, 2)
    difference = subtract(science, template).on_scale(FluxScale.SCIENCE)
    expected = science.image - difference.matched_template
    assert difference.image == pytest.approx(expected, abs=0.05)


def test_psf_of_the_difference_is_that_of_the_image_left_alone():
    science, template = observe(FIELD, 4.0, 1), observe(FIELD, 3.0, 2)
    assert subtract(science, template).psf is science.psf
    assert subtract(template, science).psf is science.psf


@pytest.mark.parametrize("direction", ["template", "science"])
def test_flux_scale_of_the_images_is_found(direction):
    wide, sharp = observe(FIELD, 4.0, 1, flux_scale=0.8), observe(FIELD, 3.0, 2)
    if direction == "science":
        wide, sharp = (observe(FIELD, 4.0, 1), observe(FIELD, 3.0, 2, flux_scale=0.8))
        wide, sharp = sharp, wide
    difference = subtract(wide, sharp, direction=Direction(direction))
    # The stars hold a signal-to-noise ratio of some thousands.
    assert difference.kernel_sum == pytest.approx(0.8, rel=3e-3)


@pytest.mark.parametrize("fwhms", [(4.0, 3.0), (3.0, 4.0)])
@pytest.mark.parametrize("flux_scale", list(FluxScale))
def test_flux_of_a_change_is_on_the_scale_asked_for(fwhms, flux_scale):
    flux, x, y = 2e4, 250.0, 260.0
    template = observe(FIELD, fwhms[1], 2)
    images = [
        subtract(observe(scene, fwhms[0], 1, flux_scale=0.8), template)
        .on_scale(flux_scale)
        .image
        for scene in (FIELD.add(PointSource(x, y, flux)), FIELD)
    ]
    # Same seeds, same noise: what is left is the change, and that of the kernel.
    change = (images[0] - images[1])[245:276, 235:266].sum(dtype=float)
    expected = flux * (0.8 if flux_scale is FluxScale.SCIENCE else 1)
    assert change == pytest.approx(expected, rel=0.02)


def test_transient_does_not_distort_the_kernel():
    template = observe(FIELD, 3.0, 2)
    transient = FIELD.add(*(PointSource(50.0 * i, 256.0, 3e4) for i in range(2, 9)))
    plain = subtract(observe(FIELD, 4.0, 1), template)
    changed = subtract(observe(transient, 4.0, 1), template)
    assert changed.kernel_sum == pytest.approx(plain.kernel_sum, rel=3e-3)


def test_known_kernel_is_recovered_without_noise():
    size = np.arange(31) - 15

    def gaussian(sigma):
        profile = np.exp(-0.5 * np.square(size / sigma))
        return np.outer(profile, profile) / profile.sum() ** 2

    rng = np.random.default_rng(8)
    images = [np.zeros((400, 400), np.float32) for _ in range(2)]
    sigma_t, sigma_k = 1.5, 1.2
    stamps = [gaussian(np.hypot(sigma_t, sigma_k)), gaussian(sigma_t)]
    for y, x in rng.integers(30, 370, (60, 2)):
        for image, stamp, scale in zip(images, stamps, (2.7, 1.0), strict=True):
            image[y - 15 : y + 16, x - 15 : x + 16] += scale * 1e5 * stamp
    exposures = [
        replace(
            observe(Scene(shape=(400, 400)), 3.0, 1),
            image=image,
            # So little of it that it has no say in the fit.
            variance=np.full((400, 400), 1e-4, np.float32),
            psf=ConstantPsf(stamp),
        )
        for image, stamp in zip(images, stamps, strict=True)
    ]
    difference = subtract(*exposures)
    assert difference.kernel_sum == pytest.approx(2.7, rel=1e-4)
    kernel = difference.matching_kernel.at(200, 200)
    half = kernel.shape[0] // 2
    expected = 2.7 * gaussian(sigma_k)[15 - half : 16 + half, 15 - half : 16 + half]
    # The PSF of the template has 1e-5 of its power left at the Nyquist frequency:
    # what the kernel does there shows on it alone, never on a star.
    assert np.abs(kernel - expected).max() < 0.03 * expected.max()
    matched, target = convolve(stamps[1], kernel), 2.7 * stamps[0]
    assert np.abs(matched - target).max() < 1e-4 * target.max()


def test_smooth_background_is_subtracted():
    sky = SkyGradient(level=40, slope_x=0.05, slope_y=-0.03)
    science = observe(FIELD, 4.0, 1, artifacts=(sky,))
    template = observe(FIELD, 3.0, 2)
    pull = pulls(subtract(science, template))
    # In cells of 128 px, the mean of some 2e3 independent pixels.
    cells = np.where(blank(FIELD, 4.0), pull, np.nan).reshape(4, 128, 4, 128)
    assert np.abs(np.nanmean(cells, axis=(1, 3))).max() < 0.2


def test_background_is_left_on_request():
    sky = SkyGradient(level=40)
    science = observe(FIELD, 4.0, 1, artifacts=(sky,))
    difference = subtract(science, observe(FIELD, 3.0, 2), subtract_background=False)
    assert np.median(difference.image) == pytest.approx(40, abs=2)


def test_constant_skies_subtract_to_nothing():
    science, template = observe(FIELD, 4.0, 1), observe(FIELD, 3.0, 2)
    lifted = subtract(
        replace(science, image=science.image + np.float32(20)),
        replace(template, image=template.image + np.float32(-10)),
    )
    # As far as some 1e5 blank pixels tell, whose noise is that of 5e3.
    assert abs(np.nanmean(pulls(lifted)[blank(FIELD, 4.0)])) < 0.05


def test_exchanged_images_give_the_negative():
    wide, sharp = observe(FIELD, 4.0, 1), observe(FIELD, 3.0, 2)
    total = subtract(wide, sharp).image + subtract(sharp, wide).image
    # The kernels are fitted to the candidates of either image: nearly the same.
    assert total[blank(FIELD, 4.0)].std() < 0.1 * NOISE
    assert abs(total.mean()) < 0.1 * NOISE


def test_subpixel_offset_is_taken_into_the_kernel():
    science = observe(FIELD, 4.0, 1, wcs=FIELD.dithered_wcs(dx=0.3, dy=-0.2))
    difference = subtract(science, observe(FIELD, 3.0, 2, NOISE / 2))
    assert chi_star(difference, FIELD, 4.0) <= 1.05


def test_varying_psf_is_matched_everywhere():
    profile = VaryingProfile(middle=GaussianProfile(fwhm=4.0, ellipticity=0.05))
    science = FIELD.observe(profile=profile, noise=NOISE, seed=1)
    difference = subtract(science, observe(FIELD, 3.0, 2, NOISE / 2))
    assert chi_star(difference, FIELD, 4.0) <= 1.05


def test_crowded_fields_are_matched():
    crowd = Scene.star_field(shape=(512, 512), density_per_mpx=20_000, seed=4)
    science, template = observe(crowd, 4.0, 1), observe(crowd, 3.0, 2, NOISE / 2)
    assert chi_star(subtract(science, template), crowd, 4.0) <= 1.05


@pytest.mark.parametrize("fwhm", [3.4, 3.5, 3.6])
def test_equal_psfs_subtract_to_the_noise(fwhm):
    difference = subtract(observe(FIELD, 3.5, 1), observe(FIELD, fwhm, 2, NOISE / 2))
    # Science-convolved, its noise leaves the kernel a little uncertain.
    assert chi_star(difference, FIELD, 3.6) <= 1.08


def test_bad_pixels_spoil_their_surroundings_alone():
    rng = np.random.default_rng(5)
    science, template = observe(FIELD, 4.0, 1), observe(FIELD, 3.0, 2)
    clean = subtract(science, template)
    rows, columns = rng.integers(0, 512, (2, 200))
    image, mask = template.image.copy(), template.mask.copy()
    image[rows, columns] = np.nan
    image[rows[::2], columns[::2]] = 1e6
    mask[rows[::2], columns[::2]] = int(MaskPlane.CR)
    spoilt = subtract(science, replace(template, image=image, mask=mask))
    assert np.isfinite(spoilt.image).all()
    # Beyond the mask nothing rings: the noise is what it was.
    used = np.isfinite(pulls(spoilt)) & blank(FIELD, 4.0)
    assert np.nanstd(pulls(spoilt)[used]) == pytest.approx(
        np.nanstd(pulls(clean)[used]), rel=0.01
    )


def test_saturated_stars_are_masked_and_no_candidates():
    camera = Camera(saturation=3000.0)
    science = observe(FIELD, 4.0, 1, camera=camera)
    template = observe(FIELD, 3.0, 2, camera=camera)
    difference = subtract(science, template)
    assert MaskPlane.SAT.in_mask(difference.mask).any()
    assert MaskPlane.SAT_TEMPLATE.in_mask(difference.mask).any()
    assert difference.kernel_sum == pytest.approx(1, rel=5e-3)


def test_pixels_without_data_are_zero_and_infinitely_uncertain():
    science, template = observe(FIELD, 4.0, 1), observe(FIELD, 3.0, 2)
    image = template.image.copy()
    image[:, 300:] = np.nan
    difference = subtract(science, replace(template, image=image))
    no_data = MaskPlane.NO_DATA.in_mask(difference.mask)
    assert no_data[:, 300:].all()
    assert not no_data[:, :280].any()
    assert (difference.image[no_data] == 0).all()
    assert np.isinf(difference.variance[no_data]).all()


def test_absurd_pixels_are_no_data():
    science, template = observe(FIELD, 4.0, 1), observe(FIELD, 3.0, 2)
    image = template.image.copy()
    image[100, 100], image[300, 200] = 3e38, -1e30
    difference = subtract(science, replace(template, image=image))
    no_data = MaskPlane.NO_DATA.in_mask(difference.mask)
    assert no_data[100, 100]
    assert no_data[300, 200]
    assert np.nanstd(pulls(difference)[blank(FIELD, 4.0)]) == pytest.approx(1, abs=0.03)


def test_stars_in_a_corner_do_not_tell_how_the_kernel_varies():
    corner = Scene.star_field(shape=(256, 256), seed=6, margin=0)
    scene = Scene(sources=corner.sources, shape=(900, 900))
    difference = subtract(observe(scene, 4.0, 1), observe(scene, 3.0, 2))
    assert difference.matching_kernel.order == 0


def test_units_of_the_images_do_not_matter():
    science, template = observe(FIELD, 4.0, 1), observe(FIELD, 3.0, 2)
    scale = np.float32(2.0**40)
    scaled = replace(
        science, image=science.image * scale, variance=science.variance * scale**2
    )
    plain, other = subtract(science, template), subtract(scaled, template)
    assert other.kernel_sum == pytest.approx(scale * plain.kernel_sum, rel=1e-4)
    assert other.image == pytest.approx(plain.image, abs=0.05)


def test_masks_of_both_images_are_kept():
    science, template = observe(FIELD, 4.0, 1), observe(FIELD, 3.0, 2)
    masks = [np.zeros((512, 512), np.int32) for _ in range(2)]
    masks[0][100, 100] = int(MaskPlane.SUSPECT | MaskPlane.DETECTED)
    masks[1][200, 200] = int(MaskPlane.INJECTED | MaskPlane.BAD)
    difference = subtract(
        replace(science, mask=masks[0]), replace(template, mask=masks[1])
    )

    def count(plane):
        return plane.in_mask(difference.mask).sum()

    assert count(MaskPlane.SUSPECT) == 1
    assert count(MaskPlane.INJECTED_TEMPLATE) == 1
    assert count(MaskPlane.BAD) > 9
    assert count(MaskPlane.DETECTED) == count(MaskPlane.INJECTED) == 0


def test_border_is_marked(standard):
    edge = MaskPlane.EDGE.in_mask(standard.mask)
    assert edge[0].all()
    assert edge[:, -1].all()
    assert not edge[20:-20, 20:-20].any()


def test_covariance_factor_is_weighted_by_the_variances():
    science = observe(FIELD, 4.0, 1)
    template = replace(observe(FIELD, 3.0, 2), covariance_factor=1.4)
    difference = subtract(science, template)
    assert np.median(difference.covariance_factor) == pytest.approx(1.2, abs=0.01)


def test_inputs_are_not_changed():
    science, template = observe(FIELD, 4.0, 1), observe(FIELD, 3.0, 2)
    before = [e.image.copy() for e in (science, template)]
    subtract(science, template)
    assert np.array_equal(science.image, before[0])
    assert np.array_equal(template.image, before[1])


def test_same_input_gives_the_same_difference(standard):
    science, template = observe(FIELD, 4.0, 1), observe(FIELD, 3.0, 2, NOISE / 2)
    assert np.array_equal(subtract(science, template).image, standard.image)


@pytest.mark.parametrize("shape", [(1, 1), (5, 300), (32, 32), (97, 64)])
def test_tiny_images_are_skipped(shape):
    scene = Scene(sources=(PointSource(10.0, 2.0, 1e5),), shape=shape)
    result = AlardLuptonSubtractor().subtract(
        observe(scene, 4.0, 1), observe(scene, 3.0, 2)
    )
    assert isinstance(result, Skip)
    assert result.reason is Reason.INSUFFICIENT_KERNEL_SOURCES


def test_too_few_stars_are_skipped():
    scene = Scene(sources=(PointSource(90.0, 110.0, 1e5),), shape=(200, 200))
    result = AlardLuptonSubtractor().subtract(
        observe(scene, 4.0, 1), observe(scene, 3.0, 2)
    )
    assert isinstance(result, Skip)
    assert "needs 3" in result.detail


@pytest.mark.parametrize("which", [0, 1])
def test_image_without_data_is_skipped(which):
    exposures = [observe(FIELD, 4.0, 1), observe(FIELD, 3.0, 2)]
    empty = np.full((512, 512), np.nan, np.float32)
    exposures[which] = replace(exposures[which], image=empty)
    result = AlardLuptonSubtractor().subtract(*exposures)
    assert isinstance(result, Skip)
    assert result.reason is Reason.NO_VALID_PIXELS


def test_images_of_different_shapes_are_refused():
    small = Scene.star_field(shape=(300, 512), seed=3)
    with pytest.raises(SubtractionError, match="shape"):
        AlardLuptonSubtractor().subtract(observe(FIELD, 4, 1), observe(small, 3, 2))


def test_figures_of_merit_are_reported(standard):
    assert standard.metrics["n_kernel_candidates"] > 50
    assert standard.metrics["kernel_spatial_rms_median"] == pytest.approx(1, abs=0.1)
    assert standard.metrics["kernel_sum"] == standard.kernel_sum
