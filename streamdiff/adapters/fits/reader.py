"""The ``fits`` reader: the files of a visit-ready event -> an exposure."""

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from streamdiff.adapters.fits.catalogue import read_stars
from streamdiff.adapters.fits.celestial import read_wcs
from streamdiff.adapters.fits.exposure import psf_of, same_shape
from streamdiff.adapters.fits.extensions import (
    Extension,
    Extensions,
    read_extensions,
)
from streamdiff.adapters.fits.frame import (
    FrameOptions,
    FramePlanes,
    detector_constants,
    frame_planes,
)
from streamdiff.adapters.fits.identity import HeaderOptions, Headers
from streamdiff.adapters.fits.persisted import tell_of_persisted_psf
from streamdiff.adapters.fits.planes import read_covariance, read_mask, read_psf
from streamdiff.errors import InvalidExposureError
from streamdiff.model import (
    UNUSABLE,
    Exposure,
    ExposureId,
    MaskPlane,
    Psf,
    VisitReady,
)
from streamdiff.ports import Files

_ANONYMOUS = ExposureId(instrument="unknown", visit=0, detector=0, band="unknown")


@dataclass(frozen=True, kw_only=True)
class FitsReader(FrameOptions, HeaderOptions):
    """Reads multi-extension exposures, and plain camera frames.

    Its options are those of `HeaderOptions` and `FrameOptions`, and one more. Fields
    of the event win over the header; only units, zero point and the constants of the
    detector come from the file.

    A calexp of LSST's pipelines is read as well. Its flux calibration (PhotoCalib)
    counts where neither unit nor zero point is given. Its PSF is an object that only
    LSST's code can read: it is estimated anew, and the log says so.

    Attributes
    ----------
    restore_sky : str
        Extension with the sky that was subtracted from an image with a variance,
        to be added again but for its median: the matching fits the sky that two
        images do not share. Empty to leave the image as it is.
    """

    restore_sky: str = ""

    def __post_init__(self) -> None:
        FrameOptions.__post_init__(self)
        HeaderOptions.__post_init__(self)

    def read(self, event: VisitReady, files: Files) -> Exposure:
        """Return the exposure that an event announces.

        Raises
        ------
        UnreadableImageError, TooLargeError
            If a file is no complete FITS file.
        InvalidExposureError
            If its content breaks a rule.
        """
        content = files.fetch(event.image_uri, sha256=event.image_sha256)
        extensions = read_extensions(content, event.image_uri)
        headers = Headers.of(extensions, self)
        planes = self._planes(event, files, extensions, headers)
        scale = headers.nanojansky_per_unit()
        factor = np.float32(1 if scale is None else scale)
        image, variance = planes.image, planes.variance
        if factor != 1:
            image, variance = image * factor, variance * factor**2
        exposure = Exposure(
            id=event.exposure_id,
            image=image,
            variance=variance,
            mask=planes.mask,
            psf=_psf(event, files, extensions),
            wcs=read_wcs(headers.image),
            midpoint_mjd_tai=event.midpoint_mjd_tai,
            exposure_time_s=event.exposure_time_s,
            photometric=scale is not None,
            covariance_factor=read_covariance(extensions, headers.image),
        )
        if event.catalogue_uri is None:
            return exposure
        table = files.fetch(event.catalogue_uri)
        stars = read_stars(table, event.catalogue_uri, exposure)
        return replace(exposure, stars=stars)

    def _planes(
        self, event: VisitReady, files: Files, extensions: Extensions, headers: Headers
    ) -> FramePlanes:
        stored = headers.image.pixels()
        image = stored.astype(np.float32)
        if not np.isfinite(image).any():
            raise headers.image.invalid("has no pixel with a finite value")
        mask = _mask(_plane(event.mask_uri, "MASK", files, extensions), image.shape)
        variance = _plane(event.variance_uri, "VARIANCE", files, extensions)
        if variance is None:
            constants = detector_constants(headers, self, stored)
            return frame_planes(image, mask, constants, self)
        if self.restore_sky:
            image = image + _sky(extensions, self.restore_sky, image.shape)
        values = same_shape(variance, variance.pixels(), image.shape)
        return _checked(image, values.astype(np.float32), mask, variance)


def describe(
    content: bytes,
    uri: str,
    options: HeaderOptions,
    *,
    published_at: datetime,
    lenient: bool = False,
) -> VisitReady:
    """Return the event that announces a file, from the file's own header.

    Parameters
    ----------
    content : bytes
    uri : str
        Where the file can be fetched.
    options : HeaderOptions
        Such as a `FitsReader`.
    published_at : datetime
        With a time zone.
    lenient : bool
        Whether what the header lacks is made up instead of an error, for images
        whose identity does not matter: instrument and band ``unknown``, visit
        and detector 0, exposure time 0, time MJD 0.

    Raises
    ------
    UnreadableImageError, TooLargeError
        If this is no complete FITS file.
    InvalidExposureError
        If the header lacks a keyword, or its value breaks a rule.
    """
    headers = Headers.of(read_extensions(content, uri), options)
    identity = headers.exposure_id(_ANONYMOUS if lenient else None)
    exposure_time_s = headers.exposure_time_s(0.0 if lenient else None)
    midpoint = headers.midpoint_mjd_tai(exposure_time_s, 0.0 if lenient else None)
    checksum = hashlib.sha256(content).hexdigest()
    physical_filter = headers.value("FILTER")
    return VisitReady(
        event_id=f"{identity}/{checksum[:16]}",
        instrument=identity.instrument,
        visit=identity.visit,
        detector=identity.detector,
        band=identity.band,
        physical_filter=None if physical_filter is None else str(physical_filter),
        midpoint_mjd_tai=midpoint,
        exposure_time_s=exposure_time_s,
        image_uri=uri,
        image_sha256=checksum,
        published_at=published_at,
    )


def _plane(
    uri: str | None, name: str, files: Files, extensions: Extensions
) -> Extension | None:
    """Return a plane from a file of its own, else from that of the image."""
    if uri is None:
        return extensions[name]
    own = read_extensions(files.fetch(uri), uri)
    found = own[name] or next((e for e in own.all if e.is_image), None)
    if found is None:
        raise InvalidExposureError(f"{uri}: holds no image for {name}")
    return found


def _psf(event: VisitReady, files: Files, extensions: Extensions) -> Psf:
    if event.psf_uri is None:
        tell_of_persisted_psf(extensions)
        return psf_of(extensions)
    own = _plane(event.psf_uri, "PSF", files, extensions)
    return psf_of(extensions) if own is None else read_psf(own)


def _mask(extension: Extension | None, shape: tuple[int, ...]) -> NDArray[np.int32]:
    if extension is None:
        return np.zeros(shape, np.int32)
    return same_shape(extension, read_mask(extension), shape)


def _sky(
    extensions: Extensions, name: str, shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """Return the sky that was subtracted, its median level left out."""
    extension = extensions[name]
    if extension is None:
        raise InvalidExposureError(
            f"{extensions.all[0].uri}: there is no extension {name}, which [plugins."
            "read.fits] restore_sky names"
        )
    sky = same_shape(extension, extension.pixels(), shape).astype(np.float32)
    if not np.isfinite(sky).all():
        raise extension.invalid("must be finite everywhere")
    return sky - np.median(sky)


def _checked(
    image: NDArray[np.float32],
    variance: NDArray[np.float32],
    mask: NDArray[np.int32],
    extension: Extension,
) -> FramePlanes:
    """Return planes whose pixels without a value, or without a weight, are NO_DATA."""
    measured = np.isfinite(image)
    # Not so where the variance is NaN.
    measured &= (variance > 0) & (variance < np.inf)
    if measured.all():
        return FramePlanes(image=image, variance=variance, mask=mask)
    n_negative = np.count_nonzero((variance < 0) & ~UNUSABLE.in_mask(mask))
    if n_negative:
        raise extension.invalid(
            f"must not be negative, is in {n_negative} pixels without a mask bit"
        )
    lost = np.int32(MaskPlane.NO_DATA | MaskPlane.BAD)
    mask = np.where(measured, mask, mask | lost)
    return FramePlanes(image=image, variance=variance, mask=mask)
