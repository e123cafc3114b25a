from dataclasses import dataclass

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS, Sip
from hypothesis import given, settings
from hypothesis import strategies as st

from streamdiff.errors import InvalidExposureError
from streamdiff.imaging.cutouts import cut, cut_each, local_wcs
from streamdiff.model import (
    Area,
    CoaddPsf,
    ConstantPsf,
    Convolved,
    Difference,
    Exposure,
    ExposureId,
    FluxScale,
    GridPsf,
    MaskPlane,
    Noise,
    PolynomialPsf,
    PsfComponent,
)

SHAPE = NY, NX = (60, 90)
ID = ExposureId(instrument="SimCam", visit=7, detector=3, band="r")
SCALE = 0.2 / 3600


def sky_wcs(*, frame=("RA---TAN", "DEC--TAN"), distorted=False, rotation=20.0):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = [f"{c}-SIP" if distorted else c for c in frame]
    wcs.wcs.crval = [150.0, -30.0]
    wcs.wcs.crpix = [40, 20]
    c, s = np.cos(np.radians(rotation)), np.sin(np.radians(rotation))
    wcs.wcs.cd = SCALE * np.array([[-c, s], [s, c]])
    if distorted:
        a, b = np.zeros((4, 4)), np.zeros((4, 4))
        a[2, 0], a[1, 1], b[0, 2], b[3, 0] = 3e-4, -1e-4, 2e-4, 1e-6
        wcs.sip = Sip(a, b, None, None, wcs.wcs.crpix)
    wcs.wcs.set()
    return wcs


def gaussian(sigma):
    axis = np.arange(-7, 8)
    return np.exp(-np.add.outer(axis**2, axis**2) / (2 * sigma**2))


def exposure(**changes):
    rng = np.random.default_rng(1)
    planes = {
        "id": ID,
        "image": rng.normal(size=SHAPE),
        "variance": rng.uniform(1, 2, SHAPE),
        "mask": rng.integers(0, 4, SHAPE),
        "wcs": sky_wcs(),
        "psf": ConstantPsf(gaussian(1.5)),
        "midpoint_mjd_tai": 61105.125,
        "exposure_time_s": 30.0,
    }
    return Exposure(**planes | changes)


SCIENCE = exposure()


def difference(**changes):
    planes = {
        name: getattr(SCIENCE, name)
        for name in ("id", "image", "variance", "mask", "psf", "wcs")
    }
    return Difference(
        **planes
        | {
            "flux_scale": FluxScale.TEMPLATE,
            "kernel_sum": 1.0,
            "convolved": Convolved.TEMPLATE,
            "noise": Noise.WHITE,
        }
        | changes
    )


def test_the_middle_pixel_is_the_nearest_of_the_image():
    stamp = cut(SCIENCE, 40.4, 29.6, 31)
    assert stamp.shape == (31, 31)
    assert stamp.image[15, 15] == SCIENCE.image[30, 40]
    np.testing.assert_array_equal(stamp.image, SCIENCE.image[15:46, 25:56])
    np.testing.assert_array_equal(stamp.variance, SCIENCE.variance[15:46, 25:56])
    np.testing.assert_array_equal(stamp.mask, SCIENCE.mask[15:46, 25:56])


@given(
    x=st.floats(-1e6, 1e6) | st.floats(-60, 150),
    y=st.floats(-1e6, 1e6) | st.floats(-60, 120),
    side=st.sampled_from([1, 3, 31, 103]),
)
@settings(max_examples=200)
def test_every_pixel_is_the_image_s_or_no_data(x, y, side):
    stamp = cut(SCIENCE, x, y, side, wcs=SCIENCE.wcs)
    rows = int(np.floor(y + 0.5)) - side // 2 + np.arange(side)
    columns = int(np.floor(x + 0.5)) - side // 2 + np.arange(side)
    inside = np.outer((rows >= 0) & (rows < NY), (columns >= 0) & (columns < NX))
    expected = SCIENCE.image[np.ix_(rows.clip(0, NY - 1), columns.clip(0, NX - 1))]
    np.testing.assert_array_equal(stamp.image[inside], expected[inside])
    assert np.isnan(stamp.image[~inside]).all()
    assert np.isinf(stamp.variance[~inside]).all()
    assert (stamp.mask[~inside] == MaskPlane.NO_DATA).all()
    assert not MaskPlane.NO_DATA.in_mask(stamp.mask[inside]).any()


def test_a_cutout_shares_no_pixels_with_its_image():
    stamp = cut(SCIENCE, 40, 30, 31)
    assert not np.shares_memory(stamp.image, SCIENCE.image)


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (200, 3)])
def test_images_smaller_than_the_cutout_are_held_whole(shape):
    tiny = exposure(image=np.ones(shape), variance=np.ones(shape), mask=np.zeros(shape))
    stamp = cut(tiny, shape[1] // 2, shape[0] // 2, 103)
    assert np.nansum(stamp.image) == min(shape[0], 103) * min(shape[1], 103)


def test_the_psf_is_that_at_the_position():
    stamps = np.array([[gaussian(1.0), gaussian(2.0)]])
    psf = GridPsf(stamps=stamps, x=np.array([0.0, NX - 1]), y=np.array([0.0]))
    varying = exposure(psf=psf)
    np.testing.assert_allclose(
        cut(varying, 60, 20, 31).psf.centred_at(15, 15), psf.centred_at(60, 20)
    )


def test_the_covariance_factor_is_that_of_the_nearest_pixel():
    factor = 1 + np.arange(NY * NX, dtype=np.float32).reshape(SHAPE) / 1e4
    varying = exposure(covariance_factor=factor)
    assert cut(varying, 40, 30, 31).covariance_factor == factor[30, 40]
    assert cut(varying, -40, 900, 31).covariance_factor == factor[-1, 0]


@dataclass(frozen=True)
class ForeignPsf:
    """A PSF that grows along the rows, of somebody else's kind."""

    shape: tuple[int, int] = (15, 15)

    def centred_at(self, x, y):
        stamp = gaussian(1 + x / 100)
        return stamp / stamp.sum()

    def at(self, x, y):
        return self.centred_at(x, y)


def coadd(left):
    """Return a PSF of three inputs: one everywhere, two that end within the image."""
    grid = GridPsf(
        stamps=np.array([[gaussian(s)[3:-3, 3:-3] for s in (0.8, 1.2)]]),
        x=np.array([0.0, NX - 1]),
        y=np.array([0.0]),
    )
    inputs = [(left, (0, 42)), (ConstantPsf(gaussian(2)), (38, NX)), (grid, (-9, 99))]
    components = tuple(
        PsfComponent(
            psf=psf, weight=w + 1, area=Area(((a, 0), (b, 0), (b, NY), (a, NY)))
        )
        for w, (psf, (a, b)) in enumerate(inputs)
    )
    return CoaddPsf(components)


PSFS = {
    "constant": ConstantPsf(gaussian(1.5)),
    "grid": GridPsf(
        stamps=np.array([[gaussian(s) for s in (1.0, 1.5, 2.0)]] * 2),
        x=np.array([0.0, 40.0, NX - 1]),
        y=np.array([0.0, NY - 1]),
    ),
    "polynomial": PolynomialPsf(
        coefficients=np.array([gaussian(1.5), gaussian(1.0) / 50, gaussian(2.0) / 90]),
        image_shape=SHAPE,
    ),
    "coadd": coadd(ConstantPsf(gaussian(1.5))),
    "somebody else's": ForeignPsf(),
    "coadd of those": coadd(ForeignPsf()),
}


@pytest.mark.parametrize("psf", PSFS.values(), ids=PSFS.keys())
def test_many_cutouts_are_those_of_one_each(psf):
    varying = exposure(psf=psf)
    places, sides = [(40.2, 30.7), (1.0, 58.0), (45.0, 20.0)], [31, 31, 15]
    local = local_wcs(varying.wcs, *np.transpose(places), sides)
    together = list(cut_each(varying, places, sides, local))
    for stamp, place, side, wcs in zip(together, places, sides, local, strict=True):
        alone = cut(varying, *place, side, wcs=wcs)
        np.testing.assert_array_equal(stamp.image, alone.image)
        np.testing.assert_array_equal(stamp.variance, alone.variance)
        np.testing.assert_array_equal(stamp.mask, alone.mask)
        # a row of a product, and a product of one row: the order of sums may differ
        np.testing.assert_allclose(stamp.psf.stamp, alone.psf.stamp, atol=1e-15)


@pytest.mark.parametrize("psf", PSFS.values(), ids=PSFS.keys())
def test_a_psf_does_not_depend_on_the_other_positions(psf):
    varying = exposure(psf=psf)
    rng = np.random.default_rng(3)
    places = list(zip(rng.uniform(0, NX, 65), rng.uniform(0, NY, 65), strict=True))
    local = local_wcs(varying.wcs, *np.transpose(places), [31] * 65)
    together = list(cut_each(varying, places, [31] * 65, local))
    for n in (1, 2, 32):
        some = cut_each(varying, places[-n:], [31] * n, local[-n:])
        for stamp, other in zip(some, together[-n:], strict=True):
            np.testing.assert_array_equal(stamp.psf.stamp, other.psf.stamp)


def test_no_positions_have_no_cutouts():
    assert list(cut_each(exposure(psf=PSFS["grid"]), [], [], [])) == []


def test_an_exposure_keeps_its_times():
    stamp = cut(SCIENCE, 40, 30, 31)
    assert (stamp.midpoint_mjd_tai, stamp.exposure_time_s) == (61105.125, 30.0)


def test_a_difference_is_cut_like_an_exposure():
    stamp = cut(difference(photometric=False), 40, 30, 31)
    np.testing.assert_array_equal(stamp.image, SCIENCE.image[15:46, 25:56])
    assert stamp.photometric is False
    assert np.isnan(stamp.midpoint_mjd_tai)


@pytest.mark.parametrize(
    "wcs",
    [
        sky_wcs(),
        sky_wcs(distorted=True),
        sky_wcs(frame=("GLON-TAN", "GLAT-TAN")),
        sky_wcs(rotation=200),
    ],
    ids=["plain", "SIP", "galactic", "rotated"],
)
def test_the_local_wcs_agrees_with_the_image(wcs):
    x, y = 62.3, 41.8
    local = cut(exposure(wcs=wcs), x, y, 31).wcs
    left, bottom = 62 - 15, 42 - 15
    assert list(local.wcs.ctype) == ["RA---TAN", "DEC--TAN"]
    centre = wcs.pixel_to_world(x, y).icrs
    np.testing.assert_allclose(local.wcs.crval, [centre.ra.deg, centre.dec.deg])
    for dx, dy in [(0, 0), (1, 0), (0, 1), (-1, 1)]:
        there = wcs.pixel_to_world(x + dx, y + dy)
        here = SkyCoord(
            *local.pixel_to_world_values(x + dx - left, y + dy - bottom), unit=u.deg
        )
        # The second-order terms of the distortion: 3e-4 of a pixel per pixel^2.
        assert here.separation(there).deg < 5e-4 * SCALE


def test_the_local_wcs_is_exact_for_a_plain_projection():
    # A gnomonic projection about another centre differs in second order of the
    # angle: over 50 px of 0.2 arcsec, (5e-5 rad)^2 of 50 px.
    local = cut(SCIENCE, 80, 50, 103).wcs
    there = SCIENCE.wcs.pixel_to_world(31, 50)
    here = SkyCoord(*local.pixel_to_world_values(2, 51), unit=u.deg)
    assert here.separation(there).deg < 1e-6 * SCALE


@pytest.mark.parametrize("dec", [89.9999, -90.0, 0.0])
@pytest.mark.parametrize("ra", [0.0, 359.99999])
def test_the_local_wcs_holds_at_poles_and_at_ra_0(ra, dec):
    wcs = sky_wcs()
    wcs.wcs.crval = [ra, dec]
    local = cut(exposure(wcs=wcs), 50, 30, 31).wcs
    there = wcs.pixel_to_world(60, 35).icrs
    here = SkyCoord(*local.pixel_to_world_values(25, 20), unit=u.deg)
    assert here.separation(there).deg < 1e-4 * SCALE


def test_a_shared_wcs_is_taken_as_it_is():
    (shared,) = local_wcs(SCIENCE.wcs, [40], [30], [31])
    assert cut(SCIENCE, 40, 30, 31, wcs=shared).wcs is shared


def test_no_position_has_no_wcs():
    assert local_wcs(SCIENCE.wcs, [], [], []) == ()


def test_a_position_that_is_not_on_the_sky_is_an_error():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---AIT", "DEC--AIT"]
    wcs.wcs.cdelt = [1, 1]
    with pytest.raises(InvalidExposureError, match="no coordinates"):
        local_wcs(wcs, [400.0], [400.0], [31])
