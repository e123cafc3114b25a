"""A difference opens in common tools and holds everything."""

import warnings

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.wcs import WCS

from streamdiff.adapters.fits import encode_difference
from streamdiff.adapters.fits.exposure import decode_exposure
from streamdiff.model import (
    DETECTION_COLUMNS,
    Column,
    ConstantPsf,
    Convolved,
    DiaSources,
    Difference,
    Exposure,
    ExposureId,
    FluxScale,
    MatchingKernel,
    Noise,
)

SHAPE = (20, 26)


def difference() -> Difference:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    return Difference(
        id=ExposureId(instrument="camera", visit=1, detector=0, band="r"),
        image=np.ones(SHAPE),
        variance=np.full(SHAPE, 4.0),
        mask=np.zeros(SHAPE, int),
        psf=ConstantPsf(np.outer(np.hanning(7), np.hanning(7))),
        wcs=wcs,
        flux_scale=FluxScale.TEMPLATE,
        kernel_sum=1.25,
        convolved=Convolved.TEMPLATE,
        noise=Noise.WHITE,
        score=np.full(SHAPE, 3.0),
        matched_template=np.full(SHAPE, 9.0),
        matching_kernel=MatchingKernel(
            basis=np.ones((1, 3, 3)), coefficients=np.ones((1, 1)), image_shape=SHAPE
        ),
    )


def sources(n=2) -> DiaSources:
    extra = (Column("band", "U2", "", "Band"), Column("id", "i8", "", "Identity"))
    values = {c.name: np.arange(n) for c in DETECTION_COLUMNS}
    values |= {"band": np.array(["r"] * n, "U2"), "id": np.arange(n) + 2**40}
    return DiaSources((*DETECTION_COLUMNS, *extra), values)


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "difference.fits"
    cards = {"TEMPLATE": "deep/1/2/r", "PLUGIN_SUBTRACT": "al 1.0"}
    file.write_bytes(
        encode_difference(
            difference(),
            sources(),
            provenance=cards,
            matched_template=True,
            kernel=True,
        )
    )
    return file


def test_every_extension_is_there(path):
    with fits.open(path) as file:
        names = [hdu.name for hdu in file]
    assert names == [
        *("PRIMARY", "IMAGE", "VARIANCE", "MASK", "PSF", "SCORE", "DIASOURCES"),
        *("MATCHED_TEMPLATE", "KERNEL"),
    ]


def test_header_tells_scale_and_provenance(path):
    header = fits.getheader(path)
    assert (header["FLXSCALE"], header["KSUM"]) == ("template", 1.25)
    assert header["PLUGIN_SUBTRACT"] == "al 1.0"


def test_it_is_read_as_an_exposure_of_the_same_time():
    image = difference()
    science = Exposure(
        id=image.id,
        image=image.image,
        variance=image.variance,
        mask=image.mask,
        psf=image.psf,
        wcs=image.wcs,
        midpoint_mjd_tai=61234.5,
        exposure_time_s=30.0,
    )
    content = encode_difference(image, DiaSources.empty(), science=science)
    exposure = decode_exposure(content, uri="difference.fits")
    assert (exposure.midpoint_mjd_tai, exposure.exposure_time_s) == (61234.5, 30.0)
    assert exposure.id == image.id
    np.testing.assert_array_equal(exposure.image, image.image)


def test_ccddata_reads_the_image(path):
    image = CCDData.read(path, hdu="IMAGE")
    assert image.unit.to_string() == "nJy"
    assert image.wcs.has_celestial
    assert (image.data == 1).all()


def test_table_has_values_units_and_meanings(path):
    with fits.open(path) as file:
        table = file["DIASOURCES"]
        assert table.data["id"].tolist() == [2**40, 2**40 + 1]
        assert table.data["isNegative"].tolist() == [False, True]
        assert table.data["band"].tolist() == ["r", "r"]
        assert table.columns["x"].unit == "pix"
        assert table.header["TCOMM1"] == DETECTION_COLUMNS[0].doc


def test_a_night_without_sources_has_an_empty_table(tmp_path):
    file = tmp_path / "empty.fits"
    file.write_bytes(encode_difference(difference(), DiaSources.empty()))
    assert len(fits.getdata(file, "DIASOURCES")) == 0


def test_file_follows_the_standard(path):
    with warnings.catch_warnings(), fits.open(path) as file:
        warnings.simplefilter("error")
        file.verify("exception")
