"""Regions of an image that are much noisier than the rest."""

from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.compiled import compiled
from streamdiff.model.planes import read_only

BLOCK = 32
MAX_RATIO = 4.0
# A block with a smaller fraction of usable pixels says nothing.
MIN_USABLE = 0.1
# So many pixels know the median to a thousandth.
_MAX_PIXELS = 1_000_000


def high_variance(
    variance: NDArray[np.float32], usable: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return where the variance, smoothed over 32 pixels, exceeds 4 x its median.

    Parameters
    ----------
    variance : ndarray of float32, shape (ny, nx)
    usable : ndarray of bool, shape (ny, nx)
        Pixels that count.

    Returns
    -------
    ndarray of bool, shape (ny, nx)
        False where too few pixels count.

    Notes
    -----
    The smoothing is the median of blocks: stars, whose photons make noise, do not
    raise it.
    """
    step = slice(None, None, ceil(sqrt(variance.size / _MAX_PIXELS)))
    thin = variance[step, step]
    known = thin[usable[step, step] & np.isfinite(thin)]
    high = np.zeros(variance.shape, np.bool_)
    if known.size:
        limit = np.float32(MAX_RATIO * np.median(known))
        _mark_high(read_only(variance), read_only(usable), limit, high)
    return high


@compiled
def _mark_high(
    variance: NDArray[np.float32],
    usable: NDArray[np.bool_],
    limit: np.float32,
    high: NDArray[np.bool_],
) -> None:
    """Mark blocks where at least half of the pixels that count exceed a limit."""
    height, width = variance.shape
    for top in range(0, height, BLOCK):
        for left in range(0, width, BLOCK):
            bottom, right = min(top + BLOCK, height), min(left + BLOCK, width)
            n, n_above = 0, 0
            for row in range(top, bottom):
                for column in range(left, right):
                    value = variance[row, column]
                    counts = usable[row, column] and np.isfinite(value)
                    n += counts
                    n_above += counts and value > limit
            # The lower of two medians is above it.
            if n > MIN_USABLE * BLOCK**2 and n_above >= n - (n - 1) // 2:
                high[top:bottom, left:right] = usable[top:bottom, left:right]
