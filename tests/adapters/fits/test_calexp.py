"""Exposures in the layout of LSST's pipelines, and results in other libraries.

What afw's ``ExposureF.writeFits`` writes: a primary HDU with cards alone, compressed
IMAGE, MASK and VARIANCE with EXTTYPE, and tables of an archive in which PSF and
calibration are persisted objects.
"""

import io
from datetime import UTC, datetime

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.wcs import WCS
from structlog.testing import capture_logs

from streamdiff.adapters.fits import FitsReader, persisted
from streamdiff.adapters.fits.exposure import encode_exposure
from streamdiff.errors import InvalidExposureError
from streamdiff.model import MaskPlane, UnknownPsf, VisitReady
from streamdiff.testing import Scene

SKY = Scene.star_field(shape=(120, 130), density_per_mpx=2500, seed=3)
# LSST's own bits, which are not ours.
PLANES = {"BAD": 0, "SAT": 1, "CR": 3, "EDGE": 4, "DETECTED": 5, "NO_DATA": 8}
OPTIONS = {
    "visit_key": "EXPID",
    "detector_key": "DET-ID",
    "band_key": "FILTER",
    "band_map": {"r_03": "r"},
    "mjd_key": "DATE-AVG",
    "time_scale": "tai",
}


class Folder(dict):
    """Files in memory."""

    def fetch(self, uri, *, sha256=None):
        return self[uri]


@pytest.fixture(scope="module")
def exposure():
    return SKY.observe(fwhm=3.0, seed=5, visit=7)


def calibration(mean, *, field=0, version=1, rows=1):
    """Return the table that a PhotoCalib is persisted as (afw, PhotoCalib.cc)."""
    columns = {
        "calibrationMean": ("D", mean),
        "calibrationErr": ("D", 0.0),
        "field": ("J", field),
        "version": ("J", version),
    }
    return fits.BinTableHDU.from_columns(
        [
            fits.Column(name, form, array=np.full(rows, value))
            for name, (form, value) in columns.items()
        ],
        name="PhotoCalib",
    )


@pytest.fixture
def in_counts(calexp):
    """Return a function: a PhotoCalib -> the calexp in counts, with it."""

    def make(table):
        with fits.open(io.BytesIO(calexp)) as hdus:
            for hdu in hdus:
                hdu.header.pop("BUNIT", None)
            kept = [hdu for hdu in hdus if hdu.name != "PHOTOCALIB"]
            buffer = io.BytesIO()
            fits.HDUList([*kept, table]).writeto(buffer)
        return Folder(calexp=buffer.getvalue())

    return make


@pytest.fixture(scope="module")
def calexp(exposure):
    """Return a calexp as bytes: the exposure, with a corner saturated."""
    primary = fits.PrimaryHDU()
    primary.header.update(
        {
            "INSTRUME": "LSSTCam",
            "EXPID": 2026030500055,
            "DET-ID": 94,
            "FILTER": "r_03",
            "EXPTIME": 30.0,
            "TIMESYS": "TAI",
            "DATE-AVG": "2026-03-05T02:14:20.000",
            "BUNIT": "nJy",
        }
    )
    mask = np.zeros(exposure.image.shape, np.int32)
    mask[:5, :7] = 1 << PLANES["SAT"]
    content = {"IMAGE": exposure.image, "MASK": mask, "VARIANCE": exposure.variance}
    hdus = [primary]
    for name, plane in content.items():
        header = exposure.wcs.to_header()
        header.update({"EXTTYPE": name, "INHERIT": True, "BUNIT": "nJy"})
        if name == "MASK":
            header.update({f"HIERARCH MP_{n}": bit for n, bit in PLANES.items()})
        options = {} if name == "MASK" else {"quantize_level": 0.0}
        hdus.append(
            fits.CompImageHDU(
                np.asarray(plane, np.int32 if name == "MASK" else np.float32),
                header=header,
                name=name,
                compression_type="GZIP_2" if name != "MASK" else "RICE_1",
                **options,
            )
        )
    for name in ("ARCHIVE_INDEX", "PhotoCalib", "PiffPsf"):
        data = np.array([np.frombuffer(b"persisted", np.uint8)], dtype=object)
        column = fits.Column("bytes", "PB()", array=data)
        table = fits.BinTableHDU.from_columns([column])
        table.name = name
        table.header["EXTTYPE"] = "ARCHIVE_INDEX" if name == "ARCHIVE_INDEX" else ""
        hdus.append(table)
    buffer = io.BytesIO()
    fits.HDUList(hdus).writeto(buffer)
    return buffer.getvalue()


def event(**changes):
    fields = {"instrument": "LSSTCam", "visit": 7, "detector": 94, "band": "r"}
    fields |= {"event_id": "e", "midpoint_mjd_tai": 6e4, "exposure_time_s": 30.0}
    fields |= {"image_uri": "calexp", "published_at": datetime(2026, 1, 2, tzinfo=UTC)}
    return VisitReady(**fields | changes)


def test_a_calexp_is_an_exposure(calexp, exposure):
    found = FitsReader(**OPTIONS).read(event(), Folder(calexp=calexp))

    np.testing.assert_array_equal(found.image, exposure.image)
    np.testing.assert_array_equal(found.variance, exposure.variance)
    assert found.photometric
    saturated = (found.mask & int(MaskPlane.SAT)) != 0
    assert saturated[:5, :7].all()
    assert saturated.sum() == 5 * 7
    places = (e.wcs.pixel_to_world_values(60, 70) for e in (found, exposure))
    # degrees; a WCS in text has 12 digits
    np.testing.assert_allclose(*places, rtol=0, atol=1e-9)


def test_a_persisted_calibration_is_used(in_counts, exposure):
    found = FitsReader(**OPTIONS).read(event(), in_counts(calibration(2.5)))
    assert found.photometric
    np.testing.assert_allclose(found.image, 2.5 * exposure.image, rtol=1e-6)
    magzero = FitsReader(**OPTIONS, magzero=31.4).read(
        event(), in_counts(calibration(2.5))
    )
    np.testing.assert_array_equal(magzero.image, exposure.image)


@pytest.mark.parametrize(
    "table", [calibration(2.5, version=0), calibration(2.5, rows=2)]
)
def test_a_calibration_that_is_not_clear_is_left_out(in_counts, table):
    assert not FitsReader(**OPTIONS).read(event(), in_counts(table)).photometric


@pytest.mark.parametrize("mean", [0.0, -1.0, np.nan])
def test_a_calibration_that_is_no_positive_number_is_refused(in_counts, mean):
    with pytest.raises(InvalidExposureError, match=r"PHOTOCALIB, calibrationMean"):
        FitsReader(**OPTIONS).read(event(), in_counts(calibration(mean)))


def test_what_is_not_read_of_an_archive_is_told_once(in_counts):
    persisted._warn.cache_clear()  # noqa: SLF001 - another test may have seen it
    files = in_counts(calibration(2.5, field=12))
    with capture_logs() as logs:
        found = [FitsReader(**OPTIONS).read(event(), files) for _ in range(2)]
    assert all(isinstance(exposure.psf, UnknownPsf) for exposure in found)
    told = [line["what"] for line in logs]
    assert len(told) == 2
    assert "mean is used" in told[0]
    assert "estimated anew" in told[1]


def test_an_exposure_of_ours_opens_as_ccddata(tmp_path, exposure):
    path = tmp_path / "exposure.fits"
    path.write_bytes(encode_exposure(exposure))

    found = CCDData.read(path, hdu="IMAGE", unit="nJy")

    np.testing.assert_array_equal(found.data, exposure.image)
    assert isinstance(found.wcs, WCS)
