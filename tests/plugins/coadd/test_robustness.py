"""Whatever is coadded, the outcome is a coadd, a skip, or one typed error."""

from dataclasses import replace

import numpy as np
import pytest

from streamdiff.errors import InvalidExposureError
from streamdiff.model import Coadd, MaskPlane, Reason, Skip, TemplateId
from streamdiff.testing import Scene
from streamdiff_coadd import ClippedMeanCoadder, CompareWarpCoadder, MeanCoadder

TEMPLATE = TemplateId(tract=1, patch=2, band="r")
ALL = pytest.mark.parametrize(
    "coadder", [MeanCoadder(), ClippedMeanCoadder(), CompareWarpCoadder()]
)
SCENE = Scene.star_field(shape=(120, 90), density_per_mpx=3000, seed=2)


def observe(n, scene=SCENE, **options):
    return [scene.observe(visit=i + 1, seed=i, **options) for i in range(n)]


def filled(warp, **values):
    return replace(warp, **{k: np.full(warp.shape, v) for k, v in values.items()})


@ALL
def test_warps_of_nan_are_a_skip(coadder):
    skip = coadder.coadd(TEMPLATE, [filled(w, image=np.nan) for w in observe(4)])
    assert isinstance(skip, Skip)
    assert skip.reason is Reason.NO_VALID_PIXELS


@ALL
def test_one_warp_of_nan_is_left_out(coadder):
    warps = observe(4)
    warps[2] = filled(warps[2], image=np.nan)
    coadd = coadder.coadd(TEMPLATE, warps)
    assert [i.accepted for i in coadd.inputs] == [True, True, False, True]


def test_one_warp_is_its_own_coadd():
    (warp,) = observe(1)
    coadd = MeanCoadder().coadd(TEMPLATE, [warp])
    np.testing.assert_allclose(coadd.exposure.image, warp.image, rtol=1e-6)
    np.testing.assert_allclose(coadd.exposure.variance, warp.variance, rtol=1e-6)


@ALL
def test_warps_that_do_not_overlap_are_put_side_by_side(coadder):
    warps = observe(4)
    for number, columns in enumerate((np.s_[20:], np.s_[:24], np.s_[:46], np.s_[:68])):
        mask = np.array(warps[number].mask)
        mask[:, columns] |= MaskPlane.NO_DATA
        if number:
            mask[:, (columns.stop + 20) :] |= MaskPlane.NO_DATA
        warps[number] = replace(warps[number], mask=mask)
    coadd = coadder.coadd(TEMPLATE, warps)
    assert coadd.n_image.max() == 1
    assert coadd.exposure.usable(MaskPlane.NO_DATA).mean() > 0.8
    assert np.isfinite(coadd.exposure.image).all()


@ALL
@pytest.mark.parametrize("size", [1e-12, 1e12])
def test_the_unit_of_the_flux_does_not_matter(coadder, size):
    warps = observe(4)
    there = coadder.coadd(TEMPLATE, warps).exposure
    factor = np.float32(size)
    scaled = [
        replace(w, image=w.image * factor, variance=w.variance * factor**2)
        for w in warps
    ]
    back = coadder.coadd(TEMPLATE, scaled).exposure
    np.testing.assert_allclose(
        back.image / factor, there.image, rtol=1e-4, atol=1e-3 * there.image.std()
    )


@ALL
def test_single_huge_values_do_not_spread(coadder):
    warps = observe(5)
    clean = coadder.coadd(TEMPLATE, warps).exposure
    image = np.array(warps[1].image)
    image[60, 45] = 3e30
    warps[1] = replace(warps[1], image=image)
    coadd = coadder.coadd(TEMPLATE, warps)
    assert isinstance(coadd, Coadd)
    far = np.s_[:, :20]
    np.testing.assert_allclose(
        coadd.exposure.image[far], clean.image[far], rtol=1e-3, atol=5
    )


@ALL
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (33, 2)])
def test_thin_images_can_be_coadded(coadder, shape):
    coadd = coadder.coadd(TEMPLATE, observe(4, Scene(shape=shape)))
    assert coadd.exposure.shape == shape
    assert np.isfinite(coadd.exposure.image).all()


@ALL
def test_constant_images_can_be_coadded(coadder):
    coadd = coadder.coadd(TEMPLATE, [filled(w, image=3.0) for w in observe(4)])
    np.testing.assert_allclose(coadd.exposure.image, 3.0, rtol=1e-5)


@ALL
def test_photometric_and_uncalibrated_warps_are_mixed_by_their_stars(coadder):
    scene = Scene.star_field(shape=(300, 300), density_per_mpx=3000, seed=2)
    warps = observe(3, scene, noise=3.0)
    faint = scene.observe(visit=9, seed=9, flux_scale=0.5, noise=3.0)
    coadd = coadder.coadd(TEMPLATE, [replace(faint, photometric=False), *warps])
    assert coadd.exposure.photometric
    assert coadd.inputs[0].weight == pytest.approx(coadd.inputs[1].weight / 4, rel=0.1)


@ALL
def test_no_input_variance_can_be_negative(coadder):
    warps = observe(4)
    warps[0] = filled(warps[0], variance=-1.0)
    coadd = coadder.coadd(TEMPLATE, warps)
    assert not coadd.inputs[0].accepted


@ALL
def test_a_template_is_no_exposure_to_coadd(coadder):
    warps = observe(4)
    warps[1] = replace(warps[1], id=TEMPLATE)
    with pytest.raises(InvalidExposureError, match="is a template"):
        coadder.coadd(TEMPLATE, warps)
