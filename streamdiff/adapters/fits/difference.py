"""Difference images with their DiaSources as multi-extension FITS."""

from collections.abc import Mapping

from astropy.io import fits

from streamdiff.adapters.fits.exposure import (
    CardValue,
    identity_cards,
    primary_hdu,
    to_bytes,
    update_header,
)
from streamdiff.adapters.fits.planes import (
    NANOJANSKY,
    UNCALIBRATED,
    covariance_hdu,
    image_hdu,
    mask_hdu,
    psf_hdu,
)
from streamdiff.adapters.fits.table import table_hdu
from streamdiff.model import DiaSources, Difference, Exposure


def encode_difference(
    difference: Difference,
    sources: DiaSources,
    *,
    science: Exposure | None = None,
    provenance: Mapping[str, CardValue] | None = None,
    matched_template: bool = False,
    kernel: bool = False,
) -> bytes:
    """Return a difference and its sources as the bytes of a FITS file.

    Extensions are IMAGE, VARIANCE, MASK, PSF, SCORE where there is one, the
    table DIASOURCES, and on request MATCHED_TEMPLATE and KERNEL.

    Parameters
    ----------
    difference : Difference
    sources : DiaSources
    science : Exposure, optional
        The exposure that it is a difference of: its time is written, so that the file
        can be read as an exposure.
    provenance : mapping of str to value, optional
        More cards for the primary header.
    matched_template, kernel : bool
        Whether to add what was subtracted, and the matching kernel at the
        centre of the image, where the difference has them.
    """
    hdus = [_primary(difference, science, provenance or {}), *_planes(difference)]
    hdus.append(table_hdu(sources, "DIASOURCES"))
    if matched_template and difference.matched_template is not None:
        unit = NANOJANSKY if difference.photometric else UNCALIBRATED
        hdus.append(
            image_hdu(
                "MATCHED_TEMPLATE",
                difference.matched_template,
                difference.wcs,
                unit=unit,
            )
        )
    if kernel and difference.matching_kernel is not None:
        ny, nx = difference.shape
        centre = difference.matching_kernel.at((nx - 1) / 2, (ny - 1) / 2)
        hdus.append(fits.ImageHDU(centre, name="KERNEL"))
    return to_bytes(hdus)


def _primary(
    difference: Difference,
    science: Exposure | None,
    provenance: Mapping[str, CardValue],
) -> fits.PrimaryHDU:
    hdu = fits.PrimaryHDU() if science is None else primary_hdu(science)
    hdu.header.update(identity_cards(difference.id))
    update_header(hdu.header, _subtraction_cards(difference))
    update_header(hdu.header, provenance)
    return hdu


def _subtraction_cards(difference: Difference) -> dict[str, CardValue]:
    return {
        "FLXSCALE": str(difference.flux_scale),
        "KSUM": difference.kernel_sum,
        "CONVOLVE": str(difference.convolved),
        "NOISE": str(difference.noise),
        "PHOTOM": difference.photometric,
    }


def _planes(difference: Difference) -> list[fits.ImageHDU]:
    unit = NANOJANSKY if difference.photometric else UNCALIBRATED
    image = image_hdu("IMAGE", difference.image, difference.wcs, unit=unit)
    for keyword, value in _subtraction_cards(difference).items():
        image.header[keyword] = value
    variance = image_hdu(
        "VARIANCE", difference.variance, difference.wcs, unit=f"{unit}2"
    )
    hdus = [
        image,
        variance,
        mask_hdu(difference.mask, difference.wcs),
        psf_hdu(difference.psf, difference.shape),
        covariance_hdu(difference.covariance_factor, image, difference.wcs),
    ]
    if difference.score is not None:
        hdus.append(image_hdu("SCORE", difference.score, difference.wcs))
    return [hdu for hdu in hdus if hdu is not None]
