"""Which peaks are sharper than the PSF: cosmic rays and defects of the detector."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from streamdiff.imaging.moments import Moments, adaptive_moments
from streamdiff.model import Difference
from streamdiff.model.psf import FWHM_PER_SIGMA, fwhm
from streamdiff_detection.peaks import Peaks

# Half the side of the square that is looked at [FWHM].
_RADIUS = 1.5
# The width of a source is known to about itself over the significance: so many
# times that is not held against it. It keeps 99.5 % of point sources at 5 sigma, and
# of fainter ones it tells nothing.
_CONFIDENCE, _TELLING = 4.0, 5.0
# Pixels of a track exceed this [sigma].
_STANDS_OUT = 3.0
_CONNECTED = np.ones((3, 3), int)


def is_sharp(
    difference: Difference,
    peaks: Peaks,
    psf: NDArray[np.float64],
    *,
    usable: NDArray[np.bool_],
    limit: float,
) -> NDArray[np.bool_]:
    """Return True for peaks whose shorter axis is too short for a point source.

    Parameters
    ----------
    difference : Difference
    peaks : Peaks
    psf : ndarray of float64, shape (ky, kx)
        PSF of the difference.
    usable : ndarray of bool, shape (ny, nx)
    limit : float
        Shortest axis of a source, as a fraction of that of the PSF.

    Notes
    -----
    What has come through the telescope is as wide as the PSF in every direction.
    The track of a cosmic ray may be long, but it is narrow.
    """
    sharp = np.zeros(len(peaks), bool)
    sigma = fwhm(psf) / FWHM_PER_SIGMA
    radius = int(np.ceil(_RADIUS * fwhm(psf)))
    known = usable & np.isfinite(difference.image) & np.isfinite(difference.variance)
    variance = np.where(known, difference.variance, np.float32(1))
    own = float(_short_axis(_of_psf(psf, sigma, radius))[0])
    for sign in (1, -1):
        rows = np.flatnonzero(sign * peaks.score >= _TELLING)
        if not rows.size:
            continue
        image = np.where(known, sign * difference.image, np.float32(0))
        moments = adaptive_moments(
            image,
            variance,
            ~known,
            peaks.x[rows],
            peaks.y[rows],
            sigma=sigma,
            radius=radius,
        )
        tolerance = 1 + _CONFIDENCE / np.abs(peaks.score[rows])
        narrow = _short_axis(moments) * tolerance < limit * own
        sharp[rows] = narrow & (moments.snr > 0)
    return sharp


def find_tracks(difference: Difference, peaks: Peaks) -> NDArray[np.bool_]:
    """Return True on the pixels around peaks that stand out; shape (ny, nx).

    Parameters
    ----------
    difference : Difference
    peaks : Peaks
        Those of cosmic rays.
    """
    tracks = np.zeros(difference.shape, bool)
    if not len(peaks):
        return tracks
    known = np.isfinite(difference.variance) & (difference.variance > 0)
    sigma = np.sqrt(np.where(known, difference.variance, np.float32(np.inf)))
    pulls = difference.image / sigma
    for sign in (1, -1):
        islands, n = ndimage.label(sign * pulls > _STANDS_OUT, _CONNECTED)
        same = peaks.take(np.sign(peaks.score) == sign)
        is_track = np.zeros(n + 1, bool)
        is_track[ndimage.maximum_filter(islands, 3)[same.row, same.column]] = True
        is_track[0] = False
        tracks |= is_track[islands]
    return tracks


def _of_psf(psf: NDArray[np.float64], sigma: float, radius: int) -> Moments:
    image = np.pad(psf, radius).astype(np.float32)
    y, x = (np.array([(n - 1) / 2]) for n in image.shape)
    return adaptive_moments(
        image,
        np.ones_like(image),
        np.zeros(image.shape, bool),
        x,
        y,
        sigma=sigma,
        radius=radius,
    )


def _short_axis(moments: Moments) -> NDArray[np.float64]:
    half_trace = (moments.xx + moments.yy) / 2
    spread = np.hypot((moments.xx - moments.yy) / 2, moments.xy)
    return np.asarray(np.sqrt(np.maximum(half_trace - spread, 0)))
