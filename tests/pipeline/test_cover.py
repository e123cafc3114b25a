from dataclasses import replace

import numpy as np
import pytest

from streamdiff.errors import InvalidExposureError
from streamdiff.imaging.skymap import SkyMap
from streamdiff.model import (
    Coadd,
    ExposureId,
    MaskPlane,
    Reason,
    Skip,
    Template,
    TemplateId,
)
from streamdiff.pipeline.cover import TemplateCover
from streamdiff.testing import PointSource, Scene
from streamdiff_coadd import MeanCoadder
from streamdiff_warp import LanczosWarper

SKYMAP = SkyMap(nside_order=8, patch_pixels=300, overlap_pixels=20)
TRACT = 1000
FIRST = SKYMAP.patches_per_side // 2 * (SKYMAP.patches_per_side + 1)


def position(x, y):
    ra, dec = SKYMAP.wcs(TRACT, FIRST).wcs_pix2world([x], [y], 0)
    return {"ra": float(ra[0]), "dec": float(dec[0])}


# In the middle of one patch, and across its right border.
INSIDE = Scene.star_field(shape=(80, 90), density_per_mpx=3000, seed=3)
INSIDE = replace(INSIDE, **position(150, 150))
ACROSS = replace(INSIDE, **position(280, 150))


class Store:
    """Coadds in memory."""

    def __init__(self, *coadds):
        self.coadds = dict(coadds)

    def newest(self, template_id):
        return max((v for i, v in self.coadds if i == template_id), default=None)

    def load(self, template_id, version):
        return self.coadds.get((template_id, version))


def template_id(patch):
    return TemplateId(tract=TRACT, patch=patch, band="r")


def coadd(scene, patch=FIRST, version=1, change=lambda e: e, **observed):
    exposure = scene.observe(
        wcs=SKYMAP.wcs(TRACT, patch),
        shape=SKYMAP.shape(TRACT, patch),
        seed=patch,
        **{"noise": 2.0, **observed},
    )
    exposure = change(replace(exposure, id=template_id(patch)))
    n_image = np.ones(exposure.shape, np.int32)
    return (template_id(patch), version), Coadd(
        exposure=exposure, n_image=n_image, inputs=()
    )


def cover(scene, *coadds, **options):
    finder = TemplateCover(store=Store(*coadds), skymap=SKYMAP, warper=LanczosWarper())
    wcs = scene.dithered_wcs(rotation_deg=20)
    return finder.cover(scene.observe(wcs=wcs), **options)


def test_the_template_shows_the_sky_on_the_science_grid():
    template = cover(INSIDE, coadd(INSIDE))
    expected = INSIDE.observe(wcs=INSIDE.dithered_wcs(rotation_deg=20), noise=1e-3)
    exposure = template.exposure
    pull = (exposure.image - expected.image) / np.sqrt(exposure.variance)
    # Noise gives 1; the interpolation of bright stars adds less than a per cent
    # of their peaks.
    assert np.median(np.abs(pull)) < 0.8
    assert template.coverage == 1
    assert [use.fraction for use in template.uses] == [1]
    assert exposure.id == template_id(FIRST)


def test_patches_are_merged_without_a_gap():
    parts = coadd(ACROSS, FIRST), coadd(ACROSS, FIRST + 1)
    template = cover(ACROSS, *parts)
    assert template.coverage == 1
    assert len(template.uses) == 2
    assert np.isfinite(template.exposure.image).all()
    assert np.isfinite(template.exposure.variance).all()


def test_a_patch_is_warped_where_it_shows_something():
    shapes = []

    class Recording(LanczosWarper):
        def warp(self, exposure, wcs, shape):
            shapes.append(shape)
            return super().warp(exposure, wcs, shape)

    wide = replace(ACROSS, shape=(80, 400))
    parts = coadd(ACROSS, FIRST), coadd(ACROSS, FIRST + 1)
    finder = TemplateCover(store=Store(*parts), skymap=SKYMAP, warper=Recording())
    template = finder.cover(wide.observe())
    assert len(shapes) == 2
    for shape, use in zip(shapes, template.uses, strict=True):
        # A column of 64 px, on which positions are compared, too many on either side.
        assert use.fraction * 400 <= shape[1] <= use.fraction * 400 + 2 * 64 < 400


def test_where_patches_overlap_the_variance_is_averaged():
    flat = replace(ACROSS, sources=())
    parts = coadd(flat, FIRST, noise=2.0), coadd(flat, FIRST + 1, noise=4.0)
    exposure = cover(flat, *parts).exposure
    power = exposure.variance * exposure.covariance_factor
    # Weights 1/2 and 1/4: (4 / 2 + 16 / 4) / (3 / 4) = 8.
    assert power[40, 45] == pytest.approx(8, rel=0.15)


def test_a_missing_patch_leaves_no_data():
    template = cover(ACROSS, coadd(ACROSS, FIRST))
    lost = MaskPlane.NO_DATA.in_mask(template.exposure.mask)
    assert 0 < template.coverage < 1
    assert template.coverage == pytest.approx(1 - lost.mean())
    assert (template.exposure.image[lost] == 0).all()
    assert np.isinf(template.exposure.variance[lost]).all()


def test_the_psf_changes_from_patch_to_patch():
    def sharp(exposure):
        return exposure.with_psf(INSIDE.observe(fwhm=2.5).psf)

    def blurred(exposure):
        return exposure.with_psf(INSIDE.observe(fwhm=5).psf)

    parts = (
        coadd(ACROSS, FIRST, change=sharp),
        coadd(ACROSS, FIRST + 1, change=blurred),
    )
    psf = cover(ACROSS, *parts).exposure.psf
    peaks = [psf.centred_at(x, y).max() for x in (0, 89) for y in (0, 79)]
    assert max(peaks) > 1.5 * min(peaks)


def test_the_psf_is_that_of_the_pixels_on_either_side_of_a_border():
    places = range(10, 81, 14)
    scene = replace(ACROSS, sources=tuple(PointSource(x, 40, 1e6) for x in places))
    parts = [
        coadd(scene, patch, noise=0.1, fwhm=fwhm)
        for patch, fwhm in ((FIRST, 3.0), (FIRST + 1, 3.6))
    ]
    finder = TemplateCover(store=Store(*parts), skymap=SKYMAP, warper=LanczosWarper())
    exposure = finder.cover(scene.observe()).exposure
    near = np.arange(-6, 7)
    for x in places:
        stamp = exposure.psf.at(x, 40)
        half = stamp.shape[0] // 2
        star = exposure.image[np.ix_(40 + near, x + near)] / 1e6
        error = np.abs(star - stamp[np.ix_(half + near, half + near)]).sum()
        # The kernel changes what it resamples by 2e-3 of the peak, in a ring.
        assert error <= 0.02, f"at x = {x}"


def star_on(places, grid, fwhm):
    scene = replace(INSIDE, sources=tuple(PointSource(x, 40, 1e6) for x in places))
    return scene.observe(wcs=grid[0], shape=grid[1], noise=0.1, fwhm=fwhm)


def test_the_psf_is_that_of_the_pixels_on_either_side_of_where_an_input_ends():
    places = range(10, 81, 14)
    grid = SKYMAP.wcs(TRACT, FIRST), SKYMAP.shape(TRACT, FIRST)
    sharp, blurred = (
        replace(
            star_on(places, grid, fwhm),
            id=ExposureId(instrument="Sim", visit=visit, detector=1, band="r"),
        )
        for visit, fwhm in ((1, 3.0), (2, 3.8))
    )
    # The second input ends in the middle of the science image, on a slanted line.
    rows, columns = np.indices(grid[1])
    ends = columns - 0.3 * rows > 150 - 0.3 * 150
    mask = np.where(ends, np.int32(MaskPlane.NO_DATA), blurred.mask)
    made = MeanCoadder().coadd(template_id(FIRST), [sharp, replace(blurred, mask=mask)])
    finder = TemplateCover(
        store=Store(((template_id(FIRST), 1), made)),
        skymap=SKYMAP,
        warper=LanczosWarper(),
    )
    science = replace(INSIDE, sources=())
    wcs = science.dithered_wcs(rotation_deg=20)
    template = finder.cover(science.observe(wcs=wcs)).exposure
    near = np.arange(-7, 8)
    judged = 0
    for x in places:
        sky = INSIDE.observe().wcs.pixel_to_world(x, 40)
        u, v = (float(w) for w in wcs.world_to_pixel(sky))
        on_patch = np.array(grid[0].world_to_pixel(sky))
        edge = on_patch[0] - 0.3 * on_patch[1] - 105
        box = np.ix_(round(v) + near, round(u) + near)
        if abs(edge) < 9 or min(u, v) < 8 or u > 81 or v > 71:
            continue  # one side only
        stamp = template.psf.at(u, v)
        half = stamp.shape[0] // 2
        star = template.image[box] / 1e6
        error = np.abs(star - stamp[np.ix_(half + near, half + near)]).sum()
        assert error <= 0.02, f"at x = {x}"
        judged += 1
    assert judged >= 3


def test_no_version_is_a_skip():
    skip = cover(INSIDE)
    assert isinstance(skip, Skip)
    assert skip.reason is Reason.NO_TEMPLATE
    assert str(template_id(FIRST)) in skip.detail


def test_a_pinned_version_is_used():
    parts = coadd(INSIDE, version=1), coadd(INSIDE, version=2)
    assert cover(INSIDE, *parts).uses[0].version == 2
    assert cover(INSIDE, *parts, version=1).uses[0].version == 1
    assert cover(INSIDE, *parts, version=7).reason is Reason.NO_TEMPLATE


def test_another_flavour_is_another_template():
    assert cover(INSIDE, coadd(INSIDE), name="shallow").reason is Reason.NO_TEMPLATE


def test_versions_without_data_here_are_no_overlap():
    def emptied(exposure):
        mask = np.full(exposure.shape, MaskPlane.NO_DATA, np.int32)
        return replace(exposure, mask=mask)

    skip = cover(INSIDE, coadd(INSIDE, change=emptied))
    assert skip.reason is Reason.NO_OVERLAP


def test_only_planes_that_matter_to_a_subtraction_are_kept():
    def flagged(exposure):
        mask = np.full(exposure.shape, MaskPlane.DETECTED, np.int32)
        mask[120:180, 120:150] |= MaskPlane.CLIPPED
        mask[140, 130] |= MaskPlane.CR | MaskPlane.INTRP
        mask[120:180, 150:180] |= MaskPlane.INJECTED | MaskPlane.SAT
        return replace(exposure, mask=mask)

    template = cover(INSIDE, coadd(INSIDE, change=flagged))
    present = MaskPlane(int(np.bitwise_or.reduce(template.exposure.mask, axis=None)))
    kept = MaskPlane.SAT | MaskPlane.SAT_TEMPLATE | MaskPlane.INJECTED_TEMPLATE
    assert present == kept


def test_noisy_regions_are_flagged():
    def noisy(exposure):
        variance = np.array(exposure.variance)
        variance[:, :150] *= 10
        return replace(exposure, variance=variance)

    scene = replace(INSIDE, **position(160, 150))
    mask = cover(scene, coadd(scene, change=noisy)).exposure.mask
    flagged = MaskPlane.HIGH_VARIANCE.in_mask(mask)
    assert 0 < flagged.mean() < 0.6


def test_patches_on_different_scales_are_refused():
    def uncalibrated(exposure):
        return replace(exposure, photometric=False)

    parts = coadd(ACROSS, FIRST), coadd(ACROSS, FIRST + 1, change=uncalibrated)
    with pytest.raises(InvalidExposureError, match="nJy"):
        cover(ACROSS, *parts)


def test_a_template_is_a_template():
    assert isinstance(cover(INSIDE, coadd(INSIDE)), Template)
