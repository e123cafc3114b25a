"""Which peaks are sharper than the PSF: cosmic rays and defects of the detector."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from streamdiff.imaging.compiled import compiled
from streamdiff.imaging.moments import Moments, adaptive_moments, moments_of_stamps
from streamdiff.imaging.stamps import batches, cut_stamps, nearest_pixels
from streamdiff.model import Difference, MaskPlane
from streamdiff.model.psf import FWHM_PER_SIGMA, fwhm
from streamdiff_detection.peaks import Peaks

# Half the side of the square that is looked at [FWHM].
_RADIUS = 1.5
# The width of a source is known to about itself over the significance: so many
# times that is not held against it. It keeps 99.5 % of point sources at 5 sigma, and
# of fainter ones it tells nothing.
_CONFIDENCE, _TELLING = 4.0, 5.0
# The lower lobe of a dipole over the higher one, at least.
_OTHER_LOBE = 0.5
# Pixels of a track exceed this [sigma].
_STANDS_OUT = 3.0


def is_sharp(
    difference: Difference,
    peaks: Peaks,
    psf: NDArray[np.float64],
    *,
    exclude: MaskPlane,
    limit: float,
) -> NDArray[np.bool_]:
    """Return True for peaks whose shorter axis is too short for a point source.

    Parameters
    ----------
    difference : Difference
    peaks : Peaks
    psf : ndarray of float64, shape (ky, kx)
        PSF of the difference.
    exclude : MaskPlane
        Pixels on any of these planes do not count.
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
    own = float(_short_axis(_of_psf(psf, sigma, radius))[0])
    telling = np.flatnonzero(np.abs(peaks.score) >= _TELLING)
    for part in batches(len(telling)):
        rows = telling[part]
        x, y, score = peaks.x[rows], peaks.y[rows], peaks.score[rows]
        side = 2 * radius + 1
        stamps = cut_stamps(difference, x, y, (side, side), exclude=exclude)
        column, row = nearest_pixels(x, y)
        moments = moments_of_stamps(
            np.sign(score)[:, np.newaxis, np.newaxis] * stamps.image,
            stamps.variance,
            stamps.usable,
            np.stack([x - column, y - row], axis=1),
            sigma=sigma,
        )
        tolerance = 1 + _CONFIDENCE / np.abs(score)
        narrow = _short_axis(moments) * tolerance < limit * own
        sharp[rows] = narrow & (moments.snr > 0)
    return sharp


def has_other_lobe(peaks: Peaks, separation: float) -> NDArray[np.bool_]:
    """Return True for peaks beside one of the other sign that is about as high.

    Parameters
    ----------
    peaks : Peaks
    separation : float
        Farthest distance of the other one [pixel].
    """
    beside = np.zeros(len(peaks), bool)
    if not len(peaks):
        return beside
    places = np.stack([peaks.x, peaks.y], axis=1)
    first, second = cKDTree(places).query_pairs(separation, output_type="ndarray").T
    ratio = peaks.score[first] / peaks.score[second]
    pair = (ratio <= -_OTHER_LOBE) & (ratio >= -1 / _OTHER_LOBE)
    beside[first[pair]] = beside[second[pair]] = True
    return beside


def find_tracks(difference: Difference, peaks: Peaks) -> NDArray[np.bool_]:
    """Return True on the pixels around peaks that stand out; shape (ny, nx).

    Parameters
    ----------
    difference : Difference
    peaks : Peaks
        Those of cosmic rays.
    """
    tracks = np.zeros(difference.shape, np.bool_)
    for sign in (1, -1):
        same = peaks.take(np.sign(peaks.score) == sign)
        _grow_tracks(
            difference.image, difference.variance, same.row, same.column, sign, tracks
        )
    return tracks


@compiled
def _grow_tracks(
    image: NDArray[np.float32],
    variance: NDArray[np.float32],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    sign: int,
    tracks: NDArray[np.bool_],
) -> None:
    """Mark the pixels that stand out and touch peaks, and those that touch them."""
    height, width = image.shape
    found = [(rows[i], columns[i]) for i in range(len(rows))]
    while found:
        row, column = found.pop()
        for y in range(max(row - 1, 0), min(row + 2, height)):
            for x in range(max(column - 1, 0), min(column + 2, width)):
                value, noise = sign * image[y, x], variance[y, x]
                known = np.isfinite(noise) and noise > 0
                if tracks[y, x] or not known or not value > 0:
                    continue
                if value**2 > _STANDS_OUT**2 * noise:
                    tracks[y, x] = True
                    found.append((y, x))


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
