"""Files of an event, and plain camera frames, become exposures."""

import io
from datetime import UTC, datetime

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

from streamdiff.adapters.fits import FitsReader, describe
from streamdiff.errors import ConfigError, InvalidExposureError
from streamdiff.model import MaskPlane, VisitReady

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SHAPE = (200, 220)
GAIN, READ_NOISE, SKY = 2.0, 5.0, 800.0


class Folder(dict):
    """Files in memory."""

    def fetch(self, uri, *, sha256=None):
        return self[uri]


def frame(image=None, **cards) -> bytes:
    if image is None:
        variance = SKY / GAIN + (READ_NOISE / GAIN) ** 2
        image = np.random.default_rng(4).normal(SKY, np.sqrt(variance), SHAPE)
        image = image.astype("f4")
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    hdu = fits.PrimaryHDU(image, header=wcs.to_header())
    hdu.header.update({"GAIN": GAIN, "RDNOISE": READ_NOISE, "EXPTIME": 100.0})
    hdu.header.update({k.replace("_", "-"): v for k, v in cards.items()})
    buffer = io.BytesIO()
    hdu.writeto(buffer)
    return buffer.getvalue()


def event(**changes) -> VisitReady:
    fields = {"instrument": "camera", "visit": 3, "detector": 1, "band": "i"}
    fields |= {"event_id": "e", "midpoint_mjd_tai": 6e4, "exposure_time_s": 100.0}
    return VisitReady(
        **(fields | {"image_uri": "image", "published_at": NOW} | changes)
    )


def read(content, *, reader=None, **changes):
    files = Folder(image=content, **changes.pop("files", {}))
    return (reader or FitsReader()).read(event(**changes), files)


def test_event_wins_over_the_header():
    exposure = read(frame(VISIT=99, BAND="z"))
    assert (exposure.id.visit, exposure.id.band) == (3, "i")
    assert exposure.midpoint_mjd_tai == 6e4


def test_sky_is_subtracted_and_its_noise_predicted():
    exposure = read(frame())
    scatter = exposure.image / np.sqrt(exposure.variance)
    # 44,000 pixels know a standard deviation to 0.34 %.
    assert scatter.std() == pytest.approx(1, abs=0.02)
    assert scatter.mean() == pytest.approx(0, abs=0.1)


def test_noise_of_a_frame_without_sky_is_measured():
    image = np.random.default_rng(4).normal(0, 7, SHAPE).astype("f4")
    assert np.median(read(frame(image)).variance) == pytest.approx(49, rel=0.03)


def test_plain_frame_is_uncalibrated():
    assert not read(frame()).photometric


def test_zero_point_of_the_options_calibrates():
    exposure = read(frame(), reader=FitsReader(magzero=31.4 - 5))
    assert exposure.photometric
    assert np.median(exposure.variance) == pytest.approx(1e4 * 406.25, rel=0.02)


def test_saturated_pixels_and_their_bleeds_are_masked():
    image = np.full(SHAPE, 800, np.uint16)
    image[50, 60:80], image[100:103, 100:104] = 60000, 65000
    image[50, 70] = 65000
    saturated = MaskPlane.SAT.in_mask(read(frame(image, SATURATE=65000)).mask)
    assert saturated[50, 60:80].all()
    assert saturated[99:104, 99:105].all()
    assert saturated.sum() < 150


def test_plateau_of_an_integer_image_is_saturation():
    image = np.random.default_rng(0).integers(700, 900, SHAPE).astype(np.uint16)
    image[20:24, 30:34] = 65300
    assert MaskPlane.SAT.in_mask(read(frame(image)).mask)[21, 31]


def test_pixels_that_are_not_finite_are_no_data():
    image = np.random.default_rng(0).normal(800, 20, SHAPE).astype("f4")
    image[7, 9] = np.nan
    exposure = read(frame(image))
    assert MaskPlane.NO_DATA.in_mask(exposure.mask)[7, 9]
    assert np.isfinite(exposure.variance).all()


def test_mask_may_be_a_file_of_its_own():
    bits = np.zeros(SHAPE, "i4")
    bits[5, 6] = 1
    exposure = read(frame(), files={"mask": frame(bits)}, mask_uri="mask")
    assert MaskPlane.BAD.in_mask(exposure.mask).sum() == 1


def test_stars_of_a_catalogue_come_along():
    stars = Table({"x": [30.0, 900.0], "y": [40.0, 2.0], "flux": [5.0, 7.0]})
    buffer = io.BytesIO()
    stars.write(buffer, format="fits")
    files = {"stars": buffer.getvalue()}
    exposure = read(frame(), files=files, catalogue_uri="stars")
    assert exposure.stars.x.tolist() == [30.0]
    assert read(frame()).stars is None


def test_missing_gain_is_named_with_its_remedy():
    content = frame().replace(b"GAIN    =", b"NOGAIN  =")
    with pytest.raises(InvalidExposureError, match=r"image, PRIMARY, GAIN.*gain_key"):
        read(content)


def test_negative_variance_is_refused():
    bad = {"variance": frame(np.full(SHAPE, -1, "f4"))}
    with pytest.raises(InvalidExposureError, match=r"variance.*negative"):
        read(frame(), files=bad, variance_uri="variance")


def test_image_without_a_finite_pixel_is_refused():
    with pytest.raises(InvalidExposureError, match="finite"):
        read(frame(np.full(SHAPE, np.nan, "f4")))


def test_header_describes_the_event():
    reader = FitsReader(
        mjd_key="MJD-OBS",
        mjd_is="start",
        time_scale="utc",
        detector=4,
        band_map={"i long name": "i"},
    )
    content = frame(VISIT=7, BAND="i long name", INSTRUME="cam", MJD_OBS=57000.0)
    found = describe(content, "file:///x.fits", reader, published_at=NOW)
    assert str(found.exposure_id) == "cam/7/4/i"
    # TAI was ahead of UTC by 35 s in December 2014; half of 100 s is 50 s.
    assert found.midpoint_mjd_tai == pytest.approx(57000 + 85 / 86400, abs=1e-9)


def test_frame_without_identity_needs_lenience():
    with pytest.raises(InvalidExposureError, match="INSTRUME"):
        describe(frame(), "x", FitsReader(), published_at=NOW)
    found = describe(frame(), "x", FitsReader(), published_at=NOW, lenient=True)
    assert str(found.exposure_id) == "unknown/0/0/unknown"


def test_unknown_choice_is_a_configuration_error():
    with pytest.raises(ConfigError, match="sky_noise"):
        FitsReader(sky_noise="perhaps")


def exposure_with_sky(sky=None):
    """Return an image without its sky, its variance, and the sky."""
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(np.zeros(SHAPE, "f4"), name="IMAGE")]
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    hdus[1].header.update(wcs.to_header())
    hdus.append(fits.ImageHDU(np.ones(SHAPE, "f4"), name="VARIANCE"))
    if sky is not None:
        hdus.append(fits.ImageHDU(sky, name="SKY"))
    buffer = io.BytesIO()
    fits.HDUList(hdus).writeto(buffer)
    return buffer.getvalue()


def test_sky_that_was_subtracted_is_restored_on_request():
    sky = 800 + np.linspace(-3, 3, SHAPE[1], dtype="f4") + np.zeros(SHAPE, "f4")
    content = exposure_with_sky(sky)
    assert not read(content).image.any()
    restored = read(content, reader=FitsReader(restore_sky="SKY")).image
    # its level tells nothing, and would weigh on the shapes of stars
    assert restored == pytest.approx(sky - np.median(sky), abs=1e-3)


@pytest.mark.parametrize(
    ("sky", "told"),
    [
        (None, "no extension SKY, which .* restore_sky names"),
        (np.full(SHAPE, np.nan, "f4"), "SKY.*must be finite"),
        (np.zeros((3, 3), "f4"), "SKY"),
    ],
)
def test_a_sky_that_is_none_is_refused(sky, told):
    with pytest.raises(InvalidExposureError, match=told):
        read(exposure_with_sky(sky), reader=FitsReader(restore_sky="SKY"))
