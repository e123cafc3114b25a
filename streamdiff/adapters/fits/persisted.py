"""What LSST's pipelines persist in the archive of a calexp, as far as it is readable.

An archive is a table ``ARCHIVE_INDEX`` and tables of persisted objects. The flux
calibration is one row of numbers: it is read. A PSF is an object of LSST's code,
mostly a pickle of Piff's or the coefficients of PSFEx: it is not read, and the PSF is
estimated from the stars of the image, as for any frame without one.
"""

from functools import cache

import numpy as np
import structlog

from streamdiff.adapters.fits.extensions import Extension, Extensions, quiet

log = structlog.get_logger(__name__)

_INDEX, _CALIBRATION = "ARCHIVE_INDEX", "PHOTOCALIB"
_MEAN, _FIELD, _VERSION = "calibrationMean", "field", "version"
# Before, the mean was in other units.
_FIRST_IN_NANOJANSKY = 1


def persisted_calibration(extensions: Extensions) -> float | None:
    """Return the value of one count [nJy], by LSST's PhotoCalib in an archive.

    `None` where there is none, or it can not be told which of several it is. Of one
    that varies over the image, it is the mean, and the log says so.

    Raises
    ------
    InvalidExposureError
        If it is no positive number.
    """
    table = extensions[_CALIBRATION]
    if extensions[_INDEX] is None or table is None:
        return None
    with quiet():
        rows = table.hdu.data
    names = () if rows is None else rows.dtype.names
    if not {_MEAN, _FIELD, _VERSION} <= set(names or ()) or len(rows) != 1:
        return None
    if rows[_VERSION][0] < _FIRST_IN_NANOJANSKY:
        return None
    mean = float(rows[_MEAN][0])
    if not (np.isfinite(mean) and mean > 0):
        raise table.invalid(f"must be a positive number, is {mean}", _MEAN)
    if rows[_FIELD][0]:
        _warn("flux calibration varies over the image: its mean is used")
    return mean


def tell_of_persisted_psf(extensions: Extensions) -> None:
    """Log, once, that the PSF in an archive is not read."""
    if extensions[_INDEX] is not None and any(map(_is_psf, extensions.all)):
        _warn("PSF is an object of LSST's code: it is not read but estimated anew")


def _is_psf(extension: Extension) -> bool:
    return extension.name.endswith("PSF") and not extension.is_image


@cache
def _warn(what: str) -> None:
    """Log what is true of all files of a camera once for each process."""
    log.warning("persisted_object_not_read", what=what)
