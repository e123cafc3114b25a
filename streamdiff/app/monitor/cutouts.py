"""The cutouts of an alert, and the score that its difference has."""

from io import BytesIO

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray
from scipy.ndimage import correlate

from streamdiff.adapters.fits.structure import inflate
from streamdiff.app.alerts.reading import Record
from streamdiff.app.alerts.triplets import PANELS, decode_cutout
from streamdiff.app.monitor.stamps import Stamp
from streamdiff.errors import UnreadableImageError

SCORE = "score"
SHOWN = (*PANELS, SCORE)
_VARIANCE, _PSF = "UNCERT", "PSFIMAGE"
# What a page can wait for: nobody's cutouts are larger [px].
_LARGEST_IMAGE, _LARGEST_PSF = 512, 129

Plane = NDArray[np.float64]


def read_stamp(record: Record, name: str) -> Stamp | None:
    """Return one of `SHOWN`; `None` where the alert has no such cutout.

    Raises
    ------
    UnreadableImageError
        If it is no FITS image.
    """
    if name == SCORE:
        score = _score_of(record.get("cutoutDifference"))
        return None if score is None else Stamp(score)
    image = decode_cutout(record.get(f"cutout{name.title()}"))
    return None if image is None else Stamp(image)


def score(image: Plane, variance: Plane, psf: Plane) -> Plane:
    """Return the significance of a point source on each pixel [sigma].

    The matched filter for noise that is white (Turin 1960, IRE Trans. 6, 311):
    the flux of best fit over its error. Pixels without data have no weight.

    Parameters
    ----------
    image, variance : ndarray of float64, shape (ny, nx)
    psf : ndarray of float64, shape (ky, kx)
        With odd sides.

    Returns
    -------
    ndarray of float64, shape (ny, nx)
        NaN where no pixel under the PSF has data.
    """
    usable = np.isfinite(image) & np.isfinite(variance) & (variance > 0)
    weight = np.where(usable, 1 / np.where(usable, variance, 1), 0)
    matched = correlate(np.where(usable, image, 0) * weight, psf, mode="constant")
    power = correlate(weight, psf**2, mode="constant")
    # rounding leaves a little where the power is none
    known = power > 1e-12 * power.max(initial=0)
    return np.where(known, matched / np.sqrt(np.where(known, power, 1)), np.nan)


def _score_of(content: bytes | None) -> Plane | None:
    """Return the score of a cutout that brings its variance and PSF."""
    image = decode_cutout(content)
    if image is None or not content:
        return None
    variance, psf = (_plane(content, name) for name in (_VARIANCE, _PSF))
    if variance is None or psf is None or variance.shape != image.shape:
        return None
    if max(image.shape) > _LARGEST_IMAGE or max(psf.shape) > _LARGEST_PSF:
        return None
    return score(image, variance, np.nan_to_num(psf))


def _plane(content: bytes, name: str) -> Plane | None:
    plain = inflate(content, "a cutout")
    try:
        with fits.open(BytesIO(plain), memmap=False) as hdus:
            plane = np.asarray(hdus[name].data, float) if name in hdus else None
    except Exception as err:  # hostile bytes: astropy may raise anything
        raise UnreadableImageError(f"{name} of a cutout: {err!s:.200}") from err
    return None if plane is None or plane.ndim != 2 else plane
