"""Exposures as multi-extension FITS: IMAGE, VARIANCE, MASK, PSF."""

import io
from collections.abc import Iterable, Mapping
from typing import TypeVar

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from streamdiff.adapters.fits.celestial import read_wcs
from streamdiff.adapters.fits.extensions import (
    Extension,
    Extensions,
    quiet,
    read_extensions,
)
from streamdiff.adapters.fits.identity import HeaderOptions, Headers
from streamdiff.adapters.fits.planes import (
    NANOJANSKY,
    UNCALIBRATED,
    covariance_hdu,
    image_hdu,
    mask_hdu,
    psf_hdu,
    read_covariance,
    read_mask,
    read_psf,
)
from streamdiff.model import Exposure, ExposureId, Psf, TemplateId, UnknownPsf

CardValue = str | int | float | bool
Number = TypeVar("Number", bound=np.generic)


def encode_exposure(
    exposure: Exposure, *, cards: Mapping[str, CardValue] | None = None
) -> bytes:
    """Return an exposure as the bytes of a FITS file.

    Parameters
    ----------
    exposure : Exposure
        Its planes come back from `decode_exposure` bit by bit. A PSF that is a
        polynomial of the position is sampled on a grid.
    cards : mapping of str to value, optional
        More cards for the primary header.
    """
    return to_bytes([primary_hdu(exposure, cards), *exposure_hdus(exposure)])


def decode_exposure(content: bytes, uri: str = "exposure") -> Exposure:
    """Return the exposure that `encode_exposure` has written.

    Parameters
    ----------
    content : bytes
    uri : str
        How errors are to name the file.

    Raises
    ------
    UnreadableImageError, TooLargeError
        If this is no complete FITS file.
    InvalidExposureError
        If an extension or keyword is missing or breaks a rule.
    """
    return exposure_of(read_extensions(content, uri))


def exposure_of(extensions: Extensions) -> Exposure:
    """Return the exposure that a file with all its planes holds."""
    image, variance, mask = (
        extensions.require(name) for name in ("IMAGE", "VARIANCE", "MASK")
    )
    headers = Headers.of(extensions, HeaderOptions())
    template_id = headers.template_id()
    scale = headers.nanojansky_per_unit()
    # A template has no time; what an exposure has been given must be there.
    absent = None if template_id is None else np.nan
    exposure_time_s = headers.exposure_time_s(absent)
    pixels = image.pixels()
    factor = np.float32(1 if scale is None else scale)
    return Exposure(
        id=template_id or headers.exposure_id(),
        image=pixels.astype(np.float32) * factor,
        variance=same_shape(variance, variance.pixels(), pixels.shape) * factor**2,
        mask=same_shape(mask, read_mask(mask), pixels.shape),
        psf=psf_of(extensions),
        wcs=read_wcs(image),
        midpoint_mjd_tai=headers.midpoint_mjd_tai(exposure_time_s, absent),
        exposure_time_s=exposure_time_s,
        photometric=scale is not None,
        covariance_factor=read_covariance(extensions, image),
    )


def primary_hdu(
    exposure: Exposure, cards: Mapping[str, CardValue] | None = None
) -> fits.PrimaryHDU:
    """Return the primary HDU of a file: identity and time, no pixels."""
    hdu = fits.PrimaryHDU()
    hdu.header.update(identity_cards(exposure.id))
    if np.isfinite(exposure.midpoint_mjd_tai):
        hdu.header["MJD-TAI"] = (exposure.midpoint_mjd_tai, "[d] mid-exposure")
    if np.isfinite(exposure.exposure_time_s):
        hdu.header["EXPTIME"] = (exposure.exposure_time_s, "[s]")
    update_header(hdu.header, cards or {})
    return hdu


def identity_cards(identity: ExposureId | TemplateId) -> dict[str, CardValue]:
    """Return the cards that tell what a file shows."""
    if isinstance(identity, TemplateId):
        return {"TEMPLATE": str(identity), "BAND": identity.band}
    return {
        "INSTRUME": identity.instrument,
        "VISIT": identity.visit,
        "DETECTOR": identity.detector,
        "BAND": identity.band,
    }


def update_header(header: fits.Header, cards: Mapping[str, CardValue]) -> None:
    """Add cards; keywords of more than 8 characters become HIERARCH cards."""
    with quiet():
        for keyword, value in cards.items():
            header[keyword if len(keyword) <= 8 else f"HIERARCH {keyword}"] = value


def exposure_hdus(exposure: Exposure) -> list[fits.ImageHDU]:
    """Return the planes of an exposure, IMAGE first."""
    unit = NANOJANSKY if exposure.photometric else UNCALIBRATED
    image = image_hdu("IMAGE", exposure.image, exposure.wcs, unit=unit)
    variance = image_hdu("VARIANCE", exposure.variance, exposure.wcs, unit=f"{unit}2")
    hdus = [
        image,
        variance,
        mask_hdu(exposure.mask, exposure.wcs),
        psf_hdu(exposure.psf, exposure.shape),
        covariance_hdu(exposure.covariance_factor, image, exposure.wcs),
    ]
    return [hdu for hdu in hdus if hdu is not None]


def psf_of(extensions: Extensions) -> Psf:
    """Return the PSF of a file, `UnknownPsf` where it has none."""
    extension = extensions["PSF"]
    return UnknownPsf() if extension is None else read_psf(extension)


def same_shape(
    extension: Extension, plane: NDArray[Number], shape: tuple[int, ...]
) -> NDArray[Number]:
    """Return a plane, provided that it has the shape of the image."""
    if plane.shape != shape:
        raise extension.invalid(f"has shape {plane.shape}, the image {shape}")
    return plane


def to_bytes(hdus: Iterable[fits.hdu.base.ExtensionHDU]) -> bytes:
    """Return HDUs as the bytes of a file."""
    buffer = io.BytesIO()
    with quiet():
        fits.HDUList(list(hdus)).writeto(buffer)
    return buffer.getvalue()
