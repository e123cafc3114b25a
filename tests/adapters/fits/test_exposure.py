"""An exposure comes back from its file as it was."""

import io

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS, Sip

from streamdiff.adapters.fits import decode_exposure, encode_exposure
from streamdiff.errors import InvalidExposureError, UnreadableImageError
from streamdiff.model import (
    ConstantPsf,
    Exposure,
    ExposureId,
    MaskPlane,
    PolynomialPsf,
    TemplateId,
    UnknownPsf,
)

SHAPE = (24, 30)
VISIT = ExposureId(instrument="camera", visit=2**40, detector=7, band="r")


def tangent(ctype=("RA---TAN", "DEC--TAN")) -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ctype
    wcs.wcs.crval = [318.1234567890123, -66.01234567890123]
    wcs.wcs.crpix = [1000.123456789, -333.3]
    wcs.wcs.cd = [[-1.1e-5, 7.2881e-5], [-7.28524319e-5, -4.1e-7]]
    return wcs


def with_sip() -> WCS:
    wcs = tangent(("RA---TAN-SIP", "DEC--TAN-SIP"))
    terms = np.zeros((3, 3))
    terms[2, 0], terms[1, 1] = 1.2345678e-6, -3.3e-7
    nothing = np.zeros((1, 1))
    wcs.sip = Sip(terms, terms.T, nothing, nothing, wcs.wcs.crpix)
    return wcs


def with_tpv() -> WCS:
    header = tangent(("RA---TPV", "DEC--TPV")).to_header()
    header["CTYPE1"], header["CTYPE2"] = "RA---TPV", "DEC--TPV"
    for axis in (1, 2):
        header[f"PV{axis}_1"] = 1.009654718498
        header[f"PV{axis}_4"] = -0.007676233406907
    return WCS(header)


def exposure(**changes) -> Exposure:
    rng = np.random.default_rng(5)
    image = rng.normal(size=SHAPE).astype("f4")
    variance = rng.uniform(1, 2, SHAPE).astype("f4")
    image[0, 0], variance[0, 0] = np.nan, np.inf
    planes = {
        "id": VISIT,
        "image": image,
        "variance": variance,
        "mask": rng.integers(0, 1 << len(MaskPlane), SHAPE).astype("i4"),
        "wcs": tangent(),
        "midpoint_mjd_tai": 60123.123456789,
        "exposure_time_s": 30.5,
    }
    return Exposure(**(planes | changes))


def round_trip(original: Exposure) -> Exposure:
    return decode_exposure(encode_exposure(original))


def hdus(content=None) -> fits.HDUList:
    return fits.HDUList.fromstring(content or encode_exposure(exposure()))


def as_bytes(hdu_list) -> bytes:
    buffer = io.BytesIO()
    hdu_list.writeto(buffer)
    return buffer.getvalue()


def test_planes_come_back_bit_by_bit():
    original = exposure()
    read = round_trip(original)
    for plane in ("image", "variance", "mask"):
        np.testing.assert_array_equal(getattr(read, plane), getattr(original, plane))


def test_identity_and_times_come_back():
    original = exposure()
    read = round_trip(original)
    assert (read.id, read.midpoint_mjd_tai, read.exposure_time_s, read.photometric) == (
        original.id,
        original.midpoint_mjd_tai,
        original.exposure_time_s,
        True,
    )


def test_template_needs_no_time():
    template = TemplateId(tract=3, patch=4, band="g")
    nothing = {"midpoint_mjd_tai": np.nan, "exposure_time_s": np.nan}
    read = round_trip(exposure(id=template, **nothing))
    assert read.id == template
    assert np.isnan(read.midpoint_mjd_tai)


def test_uncalibrated_exposure_stays_so():
    assert not round_trip(exposure(photometric=False)).photometric


@pytest.mark.parametrize("factor", [1.0512345678901, np.full(SHAPE, 1.25, "f4")])
def test_covariance_factor_comes_back(factor):
    read = round_trip(exposure(covariance_factor=factor))
    np.testing.assert_array_equal(read.covariance_factor, factor)


def test_constant_psf_comes_back():
    psf = ConstantPsf(np.outer(np.hanning(9), np.hanning(7)))
    read = round_trip(exposure(psf=psf)).psf
    np.testing.assert_allclose(read.centred_at(3, 4), psf.stamp, rtol=1e-14)


def test_varying_psf_comes_back_between_the_nodes():
    mean = np.outer(np.hanning(9), np.hanning(9))
    slope = np.gradient(mean, axis=1) * 0.1
    psf = PolynomialPsf(coefficients=[mean, slope, slope.T], image_shape=SHAPE)
    read = round_trip(exposure(psf=psf)).psf
    np.testing.assert_allclose(
        read.centred_at(10.3, 4.7), psf.centred_at(10.3, 4.7), atol=1e-12
    )


def test_unknown_psf_stays_unknown():
    assert isinstance(round_trip(exposure()).psf, UnknownPsf)


@pytest.mark.parametrize("make", [tangent, with_sip, with_tpv])
def test_positions_come_back_to_a_millionth_of_a_pixel(make):
    wcs = make()
    pixels = np.random.default_rng(1).uniform(0, 4096, (200, 2))
    there = wcs.all_pix2world(pixels, 0)
    here = round_trip(exposure(wcs=wcs)).wcs.all_pix2world(pixels, 0)
    # A pixel is 7.3e-5 deg; RA shrinks with the cosine of the declination.
    assert np.abs(there - here).max() < 7.3e-5 * 1e-6


def test_mask_bits_are_mapped_by_name():
    file = hdus()
    header = file["MASK"].header
    for keyword in list(header["MP_*"]):
        del header[keyword]
    header["MP_SAT"], header["MP_BAD"], header["MP_NEW"] = 4, 7, 2
    bits = np.zeros(SHAPE, "i4")
    bits[1, :3] = 1 << 4, 1 << 7, 1 << 2
    file["MASK"].data = bits
    mask = decode_exposure(as_bytes(file)).mask
    assert mask[1, :3].tolist() == [MaskPlane.SAT, MaskPlane.BAD, 0]


def test_mask_without_names_means_bad():
    file = hdus()
    for keyword in list(file["MASK"].header["MP_*"]):
        del file["MASK"].header[keyword]
    file["MASK"].data = np.indices(SHAPE).sum(axis=0) % 2
    assert set(np.unique(decode_exposure(as_bytes(file)).mask)) == {0, MaskPlane.BAD}


def test_zero_point_becomes_nanojansky():
    file = hdus()
    del file["IMAGE"].header["BUNIT"]
    file[0].header["MAGZERO"] = 31.4 - 2.5
    read = decode_exposure(as_bytes(file))
    assert read.photometric
    assert read.image[5, 5] == pytest.approx(exposure().image[5, 5] * 10, rel=1e-6)
    assert read.variance[5, 5] == pytest.approx(
        exposure().variance[5, 5] * 100, rel=1e-6
    )


def test_unit_and_zero_point_must_agree():
    file = hdus()
    file[0].header["MAGZERO"] = 25.0
    with pytest.raises(InvalidExposureError, match=r"MAGZERO.*BUNIT"):
        decode_exposure(as_bytes(file))


@pytest.mark.parametrize("name", ["IMAGE", "VARIANCE", "MASK"])
def test_missing_plane_is_named(name):
    file = hdus()
    del file[name]
    with pytest.raises(InvalidExposureError, match=name):
        decode_exposure(as_bytes(file), "science.fits")


@pytest.mark.parametrize("keyword", ["VISIT", "DETECTOR", "BAND", "MJD-TAI", "EXPTIME"])
def test_missing_keyword_is_named(keyword):
    file = hdus()
    del file[0].header[keyword]
    with pytest.raises(InvalidExposureError, match=f"science.fits.*{keyword}"):
        decode_exposure(as_bytes(file), "science.fits")


@pytest.mark.parametrize(
    ("extension", "data", "rule"),
    [
        ("IMAGE", np.zeros((2, *SHAPE), "f4"), "2 axes"),
        ("VARIANCE", np.zeros((3, 3), "f4"), "shape"),
        ("MASK", np.zeros(SHAPE, "f4"), "integers"),
    ],
)
def test_plane_of_another_form_is_refused(extension, data, rule):
    file = hdus()
    file[extension].data = data
    with pytest.raises(InvalidExposureError, match=f"{extension}.*{rule}"):
        decode_exposure(as_bytes(file))


@pytest.mark.parametrize(
    "stamp",
    [np.ones((4, 4)), np.full((5, 5), np.nan), np.zeros((5, 5)), np.ones((2, 2, 5, 5))],
)
def test_broken_psf_is_refused(stamp):
    file = hdus()
    file.append(fits.ImageHDU(stamp, name="PSF"))
    with pytest.raises(InvalidExposureError, match="PSF"):
        decode_exposure(as_bytes(file))


def test_image_without_wcs_is_refused():
    file = hdus()
    for keyword in ("CTYPE1", "CTYPE2"):
        del file["IMAGE"].header[keyword]
    with pytest.raises(InvalidExposureError, match=r"IMAGE.*no celestial WCS"):
        decode_exposure(as_bytes(file))


HEAD = b"SIMPLE  =                    T".ljust(80)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 4000,
        HEAD,
        HEAD + b"END".ljust(80),
        b"not a FITS file at all",
        b"\x1f\x8bnonsense",
        encode_exposure(exposure())[:9000],
        encode_exposure(exposure())[:2881],
    ],
)
def test_what_is_no_fits_file_is_unreadable(content):
    with pytest.raises((UnreadableImageError, InvalidExposureError), match=r"it\.fits"):
        decode_exposure(content, "it.fits")


def test_every_truncation_is_noticed():
    content = encode_exposure(exposure())
    # The last block may lack its padding only.
    for end in range(0, len(content) - 2880, 1440):
        with pytest.raises((UnreadableImageError, InvalidExposureError)):
            decode_exposure(content[:end], "cut.fits")


def test_promise_of_a_huge_image_is_refused_before_it_is_believed():
    cards = {"BITPIX": -64, "NAXIS": 2, "NAXIS1": 10**9, "NAXIS2": 10**9}
    header = HEAD + b"".join(
        f"{k:<8}= {v:>20}".encode().ljust(80) for k, v in cards.items()
    )
    with pytest.raises(UnreadableImageError, match="promises"):
        decode_exposure((header + b"END").ljust(2880), "bomb.fits")
