"""Trails along rows and columns: charge that was left behind, bad lines."""

from math import ceil

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# Lines are looked at in segments of a FWHM. A segment is raised if it is higher than
# the lines beside it, so many FWHM away, by this [sigma]: one in five is by chance.
_BESIDE, _RAISED = 2.0, 0.5
# In a trail nearly all segments are raised, over so many at the least; rows of stars
# have gaps. A trail is followed on as long as most of fewer segments are.
_SEGMENTS, _SHARE = 28, 0.85
_END, _SHARE_AT_END = 7, 0.7
_MIN_GOOD = 0.5
# Not every line is looked at: trails are as wide as the PSF [FWHM].
_STEP = 0.5
_ALONG_ROW = np.array([[0, 0, 0], [1, 1, 1], [0, 0, 0]], bool)


def find_trails(score: NDArray[np.float32], width: float) -> NDArray[np.bool_]:
    """Return True on long, straight ridges along rows and columns; shape (ny, nx).

    Parameters
    ----------
    score : ndarray of float32, shape (ny, nx)
        Significance, of either sign; 0 where there is none.
    width : float
        FWHM of the PSF [pixel].

    Notes
    -----
    Charge that bleeds from saturated stars, or is left behind on the way to the
    amplifier, lifts a line of pixels by so little that no pixel tells. That all of
    the line is lifted does.
    """
    trails, across = _along_rows(score, width), _along_rows(score.T, width)
    if across.any():
        trails |= across.T
    return trails


def _along_rows(score: NDArray[np.float32], width: float) -> NDArray[np.bool_]:
    segment, step = max(round(width), 1), max(int(_STEP * width), 1)
    if score.shape[1] < segment * _SEGMENTS:
        return np.zeros(score.shape, bool)
    level = _levels(score[::step], segment)
    beside = max(round(_BESIDE * width / step), 1)
    padded = np.pad(level, ((beside, beside), (0, 0)), mode="edge")
    above, below = padded[2 * beside :], padded[: -2 * beside]
    found = np.zeros(level.shape, bool)
    for sign in (1, -1):
        contrast = sign * level - np.maximum(sign * above, sign * below)
        found |= _lasting(contrast > _RAISED)
    if not found.any():
        return np.zeros(score.shape, bool)
    found = ndimage.maximum_filter(found, (2 * ceil(width / 2 / step) + 1, 1))
    rows, columns = (np.arange(n) for n in score.shape)
    nearest_row = np.minimum((rows + step // 2) // step, found.shape[0] - 1)
    nearest_column = np.minimum(columns // segment, found.shape[1] - 1)
    pixels: NDArray[np.bool_] = found[np.ix_(nearest_row, nearest_column)]
    return pixels


def _levels(score: NDArray[np.float32], segment: int) -> NDArray[np.float32]:
    """Return the mean of each segment of each row, 0 if unknown."""
    n_rows, n_columns = score.shape
    n = n_columns // segment
    cut = score[:, : n * segment].reshape(n_rows, n, segment)
    n_good, total = np.zeros((n_rows, n), np.int16), np.zeros((n_rows, n), np.float32)
    # A pixel of each segment at a time: segments are too short to loop over.
    for k in range(segment):
        n_good += cut[..., k] != 0
        total += cut[..., k]
    known = n_good >= _MIN_GOOD * segment
    mean: NDArray[np.float32] = np.zeros_like(total)
    np.divide(total, n_good, out=mean, where=known)
    return mean


def _lasting(raised: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return True on long runs of raised segments along rows, gaps and all."""
    parts = raised.astype(np.float32)
    share = ndimage.uniform_filter1d(parts, _SEGMENTS, mode="constant")
    share_near = ndimage.uniform_filter1d(parts, _END, mode="nearest")
    sure = share >= _SHARE
    return np.asarray(
        ndimage.binary_propagation(
            sure, _ALONG_ROW, sure | (share_near >= _SHARE_AT_END)
        )
    )
