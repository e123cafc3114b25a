"""Many small arrays laid out as one, and a kernel shown all over its image."""

import numpy as np
from numpy.typing import NDArray

from streamdiff.model import MatchingKernel

GAP = 1


def mosaic(stamps: NDArray[np.generic], columns: int) -> NDArray[np.float64]:
    """Return stamps side by side, the first at the lower left.

    Parameters
    ----------
    stamps : ndarray, shape (n, height, width)
    columns : int
        Stamps per row.

    Returns
    -------
    ndarray of float64
        NaN in the gaps of 1 px between stamps, and where there is none.
    """
    n, height, width = stamps.shape
    rows = -(-n // columns)
    tall, wide = height + GAP, width + GAP
    laid = np.full((rows * tall - GAP, columns * wide - GAP), np.nan)
    for i, stamp in enumerate(stamps):
        row, column = divmod(i, columns)
        laid[
            row * tall : row * tall + height, column * wide : column * wide + width
        ] = stamp
    return laid


def grid_positions(
    shape: tuple[int, int], n: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the middles of n x n cells of an image, x and y; shape (n,) each."""
    height, width = shape
    middles = (np.arange(n) + 0.5) / n
    return middles * width - 0.5, middles * height - 0.5


def kernel_mosaic(kernel: MatchingKernel, n: int) -> NDArray[np.float64]:
    """Return a kernel as it is in the middles of n x n cells of its image."""
    x, y = grid_positions(kernel.image_shape, n)
    return mosaic(np.array([kernel.at(u, v) for v in y for u in x]), n)
