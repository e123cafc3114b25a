import io
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits

from streamdiff.adapters.fits.coadd import decode_coadd, encode_coadd
from streamdiff.errors import InvalidExposureError
from streamdiff.imaging.aperture import aperture_corrections
from streamdiff.model import (
    Area,
    Coadd,
    CoaddInput,
    CoaddPsf,
    GridPsf,
    PsfComponent,
    TemplateId,
)
from streamdiff.testing import GaussianProfile, Scene, VaryingProfile

SHAPE = (60, 80)
LEFT = Area(((-0.5, -0.5), (40.25, -0.5), (33.0, 59.5), (-0.5, 59.5)))
WHOLE = Area(((-0.5, -0.5), (79.5, -0.5), (79.5, 59.5)))
VARYING = VaryingProfile(middle=GaussianProfile(fwhm=4.0))
POSITIONS = [(0, 0), (39.9, 3), (40.9, 3), (79, 59), (20, 30)]


@pytest.fixture
def coadd():
    ids = [Scene().observe(visit=n).exposure_id for n in (1, 2, 3)]
    psf = CoaddPsf(
        (
            PsfComponent(
                psf=GaussianProfile(fwhm=3.0).psf(SHAPE), weight=0.3, area=LEFT
            ),
            PsfComponent(psf=VARYING.psf(SHAPE), weight=0.7, area=WHOLE),
        )
    )
    return Coadd(
        exposure=replace(
            Scene(shape=SHAPE).observe(),
            id=TemplateId(tract=1, patch=2, band="r"),
            psf=psf,
        ),
        n_image=np.ones(SHAPE, np.int32),
        inputs=(
            CoaddInput(id=ids[0], weight=0.3, area=LEFT),
            CoaddInput(id=ids[1], weight=0.0, accepted=False, reason="a cloud"),
            CoaddInput(id=ids[2], weight=0.7, area=WHOLE),
        ),
    )


def changed(content, change):
    with fits.open(io.BytesIO(content)) as hdus:
        changed = change(fits.HDUList([hdu.copy() for hdu in hdus]))
        buffer = io.BytesIO()
        changed.writeto(buffer)
    return buffer.getvalue()


def test_the_psf_of_a_coadd_comes_back(coadd):
    copy = decode_coadd(encode_coadd(coadd)).exposure.psf
    for x, y in POSITIONS:
        np.testing.assert_allclose(
            copy.centred_at(x, y), coadd.exposure.psf.centred_at(x, y), atol=1e-12
        )


def test_areas_come_back(coadd):
    assert decode_coadd(encode_coadd(coadd)).inputs == coadd.inputs


def test_what_is_kept_on_request_comes_back(coadd):
    bits = np.random.default_rng(1).integers(0, 8, (1, *SHAPE)).astype(np.uint8)
    kept = replace(
        coadd,
        input_map=bits,
        artifact_map=~bits & 7,
        aperture_corrections=aperture_corrections(coadd.exposure.psf, SHAPE, 4.0),
    )
    copy = decode_coadd(encode_coadd(kept))
    for number in range(3):
        np.testing.assert_array_equal(copy.uses(number), kept.uses(number))
        np.testing.assert_array_equal(copy.clips(number), ~kept.uses(number))
    assert copy.aperture_corrections.radius == 4.0
    for x, y in POSITIONS:
        expected = kept.aperture_corrections.at(x, y)
        assert copy.aperture_corrections.at(x, y) == pytest.approx(expected, rel=1e-12)


def test_aperture_corrections_without_a_radius_are_an_error(coadd):
    def without_radius(hdus):
        del hdus["APERTURE_CORRECTION"].header["APRADIUS"]
        return hdus

    corrections = aperture_corrections(coadd.exposure.psf, SHAPE, 4.0)
    content = encode_coadd(replace(coadd, aperture_corrections=corrections))
    with pytest.raises(InvalidExposureError, match="APRADIUS: must be the radius"):
        decode_coadd(changed(content, without_radius))


def test_inputs_that_were_never_read_may_follow(coadd):
    late = CoaddInput(
        id=Scene().observe(visit=4).exposure_id,
        weight=0.0,
        accepted=False,
        reason="unreadable",
    )
    longer = replace(coadd, inputs=(*coadd.inputs, late))
    copy = decode_coadd(encode_coadd(longer))
    assert copy.inputs == longer.inputs
    assert len(copy.exposure.psf.components) == 2


def test_readers_that_know_no_components_find_their_mean_on_a_grid(coadd):
    def without_components(hdus):
        return fits.HDUList([hdu for hdu in hdus if hdu.name != "INPUT_PSF"])

    copy = decode_coadd(changed(encode_coadd(coadd), without_components))
    psf = copy.exposure.psf
    assert isinstance(psf, GridPsf)
    # On a node.
    np.testing.assert_allclose(
        psf.centred_at(0, 0), coadd.exposure.psf.centred_at(0, 0), atol=1e-12
    )


def test_tables_without_areas_can_be_read(coadd):
    def without_areas(hdus):
        hdus["INPUTS"].columns.change_name("AREA", "OTHER")
        return fits.HDUList([hdu for hdu in hdus if hdu.name != "INPUT_PSF"])

    copy = decode_coadd(changed(encode_coadd(coadd), without_areas))
    assert [item.area for item in copy.inputs] == [None] * 3


def test_a_component_of_no_input_is_an_error(coadd):
    def misnumbered(hdus):
        hdus["INPUT_PSF"].header["EXTVER"] = 7
        return hdus

    with pytest.raises(InvalidExposureError, match="EXTVER: must be a row of INPUTS"):
        decode_coadd(changed(encode_coadd(coadd), misnumbered))


def test_a_component_of_a_rejected_input_is_an_error(coadd):
    def misnumbered(hdus):
        hdus["INPUT_PSF"].header["EXTVER"] = 2
        return hdus

    with pytest.raises(InvalidExposureError, match="no AREA or no WEIGHT"):
        decode_coadd(changed(encode_coadd(coadd), misnumbered))


def test_every_accepted_input_has_a_component(coadd):
    with pytest.raises(InvalidExposureError, match="2 components for 1 accepted"):
        replace(coadd, inputs=coadd.inputs[:2])
