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

from streamdiff.adapters.fits import FitsReader
from streamdiff.adapters.fits.exposure import encode_exposure
from streamdiff.model import MaskPlane, VisitReady
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


def test_an_exposure_of_ours_opens_as_ccddata(tmp_path, exposure):
    path = tmp_path / "exposure.fits"
    path.write_bytes(encode_exposure(exposure))

    found = CCDData.read(path, hdu="IMAGE", unit="nJy")

    np.testing.assert_array_equal(found.data, exposure.image)
    assert isinstance(found.wcs, WCS)
