"""Images that another process measures on are the same to the last bit."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.wcs import WCS, Sip

from streamdiff.adapters.mapped_images import MappedImages, read_images, write_images
from streamdiff.errors import StoreUnavailableError
from streamdiff.imaging.point_source import forced_flux
from streamdiff.model import (
    Convolved,
    Difference,
    FluxScale,
    MaskPlane,
    Noise,
)
from streamdiff.testing import PointSource, Scene

SHAPE = (50, 60)


def tangential(**changes):
    """Return a WCS whose numbers have no short decimal form."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = changes.get("ctype", ["RA---TAN", "DEC--TAN"])
    wcs.wcs.crval, wcs.wcs.crpix = [100 / 7, -200 / 7], [200 / 7, 190 / 7]
    wcs.wcs.cd = np.array([[1 / 18001, 1e-6 / 7], [1e-6 / 9, 1 / 18003]])
    wcs.sip = changes.get("sip")
    wcs.wcs.set()
    return wcs


def distorted():
    a = np.zeros((3, 3))
    a[2, 0], a[0, 2] = 1e-4 / 7, 1e-4 / 11
    sip = Sip(a, a.T.copy(), None, None, [200 / 7, 190 / 7])
    return tangential(ctype=["RA---TAN-SIP", "DEC--TAN-SIP"], sip=sip)


@pytest.fixture(params=[tangential, distorted])
def images(request):
    sky = Scene(sources=(PointSource(30, 20, 5e3),), shape=SHAPE)
    science = replace(sky.observe(fwhm=3.4, noise=10, seed=1), wcs=request.param())
    difference = Difference(
        id=science.id,
        image=science.image,
        variance=science.variance,
        mask=science.mask,
        psf=science.psf,
        wcs=science.wcs,
        flux_scale=FluxScale.TEMPLATE,
        kernel_sum=1.1,
        convolved=Convolved.TEMPLATE,
        noise=Noise.WHITE,
        covariance_factor=np.full(SHAPE, 1.5, np.float32),
        score=science.image,
    )
    return MappedImages(difference=difference, science=science, processed_mjd_tai=7.5)


def test_what_is_read_is_what_was_written(images, tmp_path):
    write_images(tmp_path / "images", images)
    found = read_images(tmp_path / "images")
    (tmp_path / "images").unlink()
    x, y = np.random.default_rng(1).uniform(0, 50, (2, 100))
    for name in ("difference", "science"):
        before, after = getattr(images, name), getattr(found, name)
        for plane in ("image", "variance", "mask", "covariance_factor"):
            one, other = getattr(before, plane), getattr(after, plane)
            np.testing.assert_array_equal(one, other, strict=True)
        fluxes = [
            forced_flux(e, x, y, exclude=MaskPlane.BAD).flux for e in (before, after)
        ]
        np.testing.assert_array_equal(*fluxes)
        sky = [e.wcs.all_pix2world(x, y, 0) for e in (before, after)]
        np.testing.assert_array_equal(*sky)
    assert found.difference.science_factor == images.difference.science_factor
    assert found.difference.score is None
    assert found.processed_mjd_tai == 7.5


def test_there_is_no_half_of_a_file(images, tmp_path):
    (tmp_path / "taken").touch()
    with pytest.raises(StoreUnavailableError, match="can not be written"):
        write_images(tmp_path / "taken" / "images", images)
    for path in (tmp_path / "taken", tmp_path / "none"):
        with pytest.raises(StoreUnavailableError, match="can not be read"):
            read_images(path)
