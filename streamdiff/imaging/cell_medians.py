"""Medians of the cells that an image is divided into."""

from math import ceil

import numpy as np
from numpy.typing import NDArray


def cell_medians(
    plane: NDArray[np.floating], cells: tuple[int, int], *, least: float
) -> NDArray[np.float64]:
    """Return the median of each of the equal cells of an image; shape ``cells``.

    Parameters
    ----------
    plane : ndarray of float, shape (ny, nx)
        NaN where a pixel does not count.
    cells : tuple of int
        Number of cells along y and x.
    least : float
        A cell where no larger part of the pixels counts has NaN.
    """
    values = np.sort(_in_cells(plane, cells), axis=1)
    number = np.isfinite(values).sum(axis=1)
    last = np.maximum(number - 1, 0)
    middle = np.stack([last // 2, last - last // 2], axis=1)
    medians = np.take_along_axis(values, middle, axis=1).mean(axis=1, dtype=float)
    return np.where(number > least * values.shape[1], medians, np.nan).reshape(cells)


def _in_cells(
    plane: NDArray[np.floating], cells: tuple[int, int]
) -> NDArray[np.floating]:
    """Return the pixels of each cell, NaN beyond the border; shape (cy * cx, n)."""
    height, width = (ceil(n / c) for n, c in zip(plane.shape, cells, strict=True))
    missing = cells[0] * height - plane.shape[0], cells[1] * width - plane.shape[1]
    padded = np.pad(
        plane, ((0, missing[0]), (0, missing[1])), constant_values=np.nan
    ).reshape(cells[0], height, cells[1], width)
    return padded.swapaxes(1, 2).reshape(cells[0] * cells[1], height * width)
