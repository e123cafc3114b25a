"""Cutouts written by hand are FITS as astropy reads it."""

import gzip
import io

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData, VarianceUncertainty
from astropy.wcs import WCS

from streamdiff.adapters.fits import encode_cutout, encode_cutouts
from streamdiff.model import ConstantPsf, Exposure, ExposureId

SHAPE = (31, 33)


def wcs(projection="TAN", **cards) -> WCS:
    header = fits.Header()
    header.update(CTYPE1=f"RA---{projection}", CTYPE2=f"DEC--{projection}")
    header.update(CRVAL1=318.1234567890123, CRVAL2=-66.01234567890123)
    header.update(CRPIX1=15.123456, CRPIX2=-1e4, CD1_1=-1.1e-5, CD1_2=7.2e-5)
    header.update({"CD2_1": -7.3e-5, "CD2_2": -4.1e-7} | cards)
    return WCS(header)


def cutout(**changes) -> Exposure:
    rng = np.random.default_rng(2)
    image = rng.normal(size=SHAPE).astype("f4")
    image[0, 0] = np.nan
    parts = {
        "id": ExposureId(instrument="camera", visit=1, detector=0, band="r"),
        "image": image,
        "variance": rng.uniform(1, 2, SHAPE).astype("f4"),
        "mask": rng.integers(0, 2, SHAPE),
        "wcs": wcs(),
        "psf": ConstantPsf(np.outer(np.hanning(11), np.hanning(9))),
    }
    return Exposure(**(parts | changes))


def test_file_follows_the_standard():
    file = fits.HDUList.fromstring(encode_cutout(cutout()))
    file.verify("exception")
    assert file[0].is_image
    assert [hdu.name for hdu in file] == ["PRIMARY", "UNCERT", "MASK", "PSFIMAGE"]


def test_ccddata_reads_all_of_it():
    original = cutout()
    read = CCDData.read(io.BytesIO(encode_cutout(original)))
    np.testing.assert_array_equal(read.data, original.image)
    np.testing.assert_array_equal(read.uncertainty.array, original.variance)
    np.testing.assert_array_equal(read.mask, original.mask != 0)
    np.testing.assert_allclose(read.psf, original.psf.stamp, rtol=1e-6)
    assert isinstance(read.uncertainty, VarianceUncertainty)
    assert read.unit.to_string() == "nJy"


@pytest.mark.parametrize(
    "world",
    [
        wcs(),
        wcs(LONPOLE=90.0),
        wcs("ZEA"),
        wcs("TPV", PV1_1=1.01, PV2_1=1.0, PV1_4=-0.01),
        wcs(RADESYS="FK5", EQUINOX=2000.0),
    ],
)
def test_positions_come_back(world):
    file = fits.HDUList.fromstring(encode_cutout(cutout(wcs=world)))
    pixels = [[0, 0], [20.5, 7.25]]
    here = WCS(file[0].header).all_pix2world(pixels, 0)
    # A pixel is 7e-5 deg.
    assert np.abs(here - world.all_pix2world(pixels, 0)).max() < 7e-11


def test_cutout_without_psf_has_no_psf():
    bare = cutout(psf=Exposure.__dataclass_fields__["psf"].default_factory())
    assert len(fits.HDUList.fromstring(encode_cutout(bare))) == 3


def test_uncalibrated_cutout_is_in_counts():
    file = fits.HDUList.fromstring(encode_cutout(cutout(photometric=False)))
    assert file[0].header["BUNIT"] == "adu"


@pytest.mark.parametrize("angle", [0.0, 41.6, -170.0])
def test_the_header_tells_how_the_cutout_is_rotated(angle):
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    # rows grow towards a position angle, from north to east; columns to its right
    rotated = wcs(CD1_1=-c * 1e-5, CD1_2=s * 1e-5, CD2_1=s * 1e-5, CD2_2=c * 1e-5)
    file = fits.HDUList.fromstring(encode_cutout(cutout(wcs=rotated)))
    assert file[0].header["ROTPA"] == pytest.approx(angle)
    middle = WCS(file[0].header).pixel_to_world([16, 16], [16, 17])
    # the tangent point is 10,000 px away
    turned = (middle[0].position_angle(middle[1]).deg - angle + 180) % 360 - 180
    assert abs(turned) < 1


def test_cutouts_of_an_alert_are_those_of_one_each():
    one, other = cutout(), cutout(photometric=False, image=np.zeros(SHAPE))
    expected = [encode_cutout(one), None, encode_cutout(other)]
    assert encode_cutouts([one, None, other]) == expected


def test_the_place_on_the_image_is_told():
    (content,) = encode_cutouts([cutout()], corner=(-3, 1198))
    header = fits.HDUList.fromstring(content)[0].header
    assert (header["CUTMINX"], header["CUTMINY"]) == (-3, 1198)


def test_compressed_cutouts_are_read_like_others():
    original = cutout()
    (content,) = encode_cutouts([original], compressed=True)
    assert encode_cutouts([original], compressed=True) == [content]
    assert len(content) < len(encode_cutout(original))
    read = CCDData.read(io.BytesIO(gzip.decompress(content)))
    np.testing.assert_array_equal(read.data, original.image)
    np.testing.assert_array_equal(read.uncertainty.array, original.variance)
