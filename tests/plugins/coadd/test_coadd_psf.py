"""The PSF of a coadd is exact, also beside the borders of its inputs."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from streamdiff.model import CoaddPsf, ConstantPsf, MaskPlane, TemplateId, UnknownPsf
from streamdiff.testing import GaussianProfile, MoffatProfile, Scene, VaryingProfile
from streamdiff_coadd import CompareWarpCoadder, MeanCoadder

TEMPLATE = TemplateId(tract=1, patch=2, band="r")
SHAPE = (300, 320)
ROWS, COLUMNS = np.indices(SHAPE)
# Where each input has data; the last two borders are slanted.
COVERED = (
    np.ones(SHAPE, bool),
    COLUMNS < 200,
    ROWS + 0.3 * COLUMNS > 150,
    np.abs(ROWS - 0.7 * COLUMNS) < 90,
)
PROFILES = (
    GaussianProfile(fwhm=3.0),
    VaryingProfile(middle=GaussianProfile(fwhm=4.0), fwhm_slope=(0.2, -0.1)),
    MoffatProfile(fwhm=3.5),
    VaryingProfile(middle=MoffatProfile(fwhm=5.0), corner_ellipticity=0.2),
)


@cache
def warps():
    observed = []
    for i, (profile, covered) in enumerate(zip(PROFILES, COVERED, strict=True)):
        warp = Scene(shape=SHAPE).observe(
            visit=i + 1, seed=i, profile=profile, noise=8.0 + 3 * i
        )
        mask = np.where(covered, warp.mask, warp.mask | MaskPlane.NO_DATA)
        image = np.where(covered, warp.image, np.nan)
        observed.append(replace(warp, mask=mask, image=image))
    return observed


@cache
def coadd():
    return MeanCoadder().coadd(TEMPLATE, warps())


def true_psf(x, y, side):
    """Return the weighted mean of what has data on a pixel."""
    total, weight = np.zeros((side, side)), 0.0
    for item, warp, covered in zip(coadd().inputs, warps(), COVERED, strict=True):
        if covered[y, x]:
            stamp = warp.psf.centred_at(x, y)
            total += item.weight * np.pad(stamp, (side - len(stamp)) // 2)
            weight += item.weight
    return total / weight


def error_at(x, y):
    found = coadd().exposure.psf.centred_at(x, y)
    return np.abs(found - true_psf(x, y, len(found))).sum()


def test_the_psf_is_right_everywhere():
    rng = np.random.default_rng(0)
    positions = zip(rng.integers(0, 320, 200), rng.integers(0, 300, 200), strict=True)
    assert max(error_at(x, y) for x, y in positions) < 0.01


@pytest.mark.parametrize("beside", [-3, 3])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_psf_is_right_beside_the_border_of_an_input(number, beside):
    covered = COVERED[number]
    for y in range(10, 290, 20):
        for column in np.flatnonzero(np.diff(covered[y])):
            x = int(np.clip(column + beside, 0, 319))
            assert error_at(x, y) < 0.01


def test_the_report_tells_the_area_of_every_input():
    for item, covered in zip(coadd().inputs, COVERED, strict=True):
        y, x = np.nonzero(covered)
        assert max(item.area.beyond(x[i], y[i]) for i in range(0, x.size, 997)) <= 0
        y, x = np.nonzero(~covered)
        # A pixel beside the stairs of a slanted border may touch the area.
        assert all(item.area.beyond(x[i], y[i]) > -0.1 for i in range(0, x.size, 997))


def test_the_psf_is_exact_where_an_input_ends():
    mask = coadd().exposure.mask
    inside = COVERED[0] & ~COVERED[1] & ~COVERED[2]
    inexact = MaskPlane.INEXACT_PSF.in_mask(mask)
    # But for pixels that touch a slanted border from outside.
    assert inexact.mean() < 0.002
    assert not inexact[inside & (COLUMNS > 202)].all()


def test_the_psf_is_inexact_where_an_input_lacks_a_pixel():
    spoilt = list(warps())
    mask = np.array(spoilt[0].mask)
    mask[200, 100] |= MaskPlane.BAD
    spoilt[0] = replace(spoilt[0], mask=mask)
    flags = MeanCoadder().coadd(TEMPLATE, spoilt).exposure.mask
    assert flags[200, 100] & MaskPlane.INEXACT_PSF
    assert not flags[203, 100] & MaskPlane.INEXACT_PSF


def test_equal_areas_of_constant_psfs_have_a_constant_mean():
    whole = [Scene(shape=(50, 50)).observe(visit=i, seed=i, fwhm=3 + i) for i in (1, 2)]
    psf = MeanCoadder().coadd(TEMPLATE, whole).exposure.psf
    assert isinstance(psf, ConstantPsf)
    assert isinstance(coadd().exposure.psf, CoaddPsf)


@pytest.mark.parametrize("coadder", [MeanCoadder(), CompareWarpCoadder()])
def test_an_exposure_of_unknown_psf_is_rejected(coadder):
    offered = [*warps(), Scene(shape=SHAPE).observe(visit=9, seed=9)]
    offered[-1] = offered[-1].with_psf(UnknownPsf())
    inputs = coadder.coadd(TEMPLATE, offered).inputs
    assert [i.accepted for i in inputs] == [True] * 4 + [False]
    assert inputs[-1].reason == "the PSF is unknown"
    assert inputs[-1].area is None
