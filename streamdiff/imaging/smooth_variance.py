"""Regions of an image that are much noisier than the rest."""

import numpy as np
from numpy.typing import NDArray

BLOCK = 32
MAX_RATIO = 4.0
# A block with a smaller fraction of usable pixels says nothing.
MIN_USABLE = 0.1


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
    known = usable & np.isfinite(variance)
    if not known.any():
        return np.zeros(variance.shape, bool)
    height, width = variance.shape
    rows, columns = -(-height // BLOCK), -(-width // BLOCK)
    border = ((0, rows * BLOCK - height), (0, columns * BLOCK - width))
    values = np.pad(
        np.where(known, variance, np.float32(np.nan)), border, constant_values=np.nan
    )
    values = values.reshape(rows, BLOCK, columns, BLOCK).swapaxes(1, 2)
    values = np.sort(values.reshape(rows, columns, -1), axis=-1)
    n = np.isfinite(values).sum(axis=-1)
    middle = np.maximum(n - 1, 0)[..., np.newaxis] // 2
    medians = np.take_along_axis(values, middle, axis=-1)[..., 0]
    limit = MAX_RATIO * np.median(variance[known])
    high = (n > MIN_USABLE * BLOCK**2) & (medians > limit)
    expanded = np.repeat(np.repeat(high, BLOCK, axis=0), BLOCK, axis=1)
    found: NDArray[np.bool_] = expanded[:height, :width] & usable
    return found
