"""Kernels that vary over an image, as they are within each block of it."""

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.blocks import Blocks
from streamdiff.imaging.compiled import compiled
from streamdiff.imaging.kernel_field import KernelField

_SIMPSON = (1 / 6, 4 / 6, 1 / 6)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LocalKernels:
    """The mean kernel of each cell of an image, and how it changes there.

    Attributes
    ----------
    weights : ndarray of float32, shape (cy, cx, 3, n)
        Of the n kernels of a `KernelField`: in the sum that is the mean kernel, and
        in those by which it changes from side to side, along x and y.
    steps_y, steps_x : ndarray of float32, shape (cy, height) and (cx, width)
        How far pixels are from the middle of their cell, from -1/2 to 1/2.
    missing : float
        What the kernels of a corner lack, at the most: the root of the sum of its
        squares, over that of the field's mean.
    """

    weights: NDArray[np.float32]
    steps_y: NDArray[np.float32]
    steps_x: NDArray[np.float32]
    missing: float

    @classmethod
    def of(cls, field: KernelField, blocks: Blocks) -> "LocalKernels":
        """Return the kernels of cells."""
        ends = [blocks.ends(axis) for axis in (0, 1)]
        middles = [(first + last) / 2 for first, last in ends]
        of_y, of_x = (
            [field.nodes.along(axis, p) for p in (first, middle, last)]
            for axis, ((first, last), middle) in enumerate(
                zip(ends, middles, strict=True)
            )
        )

        # At the first (0), middle (1) and last (2) row and column of each cell.
        at = [[row @ field.weights @ column.T for column in of_x] for row in of_y]
        # By Simpson's rule, the mean over a cell.
        shares = [
            _SIMPSON[row] * _SIMPSON[column] * at[row][column]
            for row, column in product(range(3), repeat=2)
        ]
        mean = np.sum(shares, axis=0)
        along_x, along_y = at[1][2] - at[1][0], at[2][1] - at[0][1]
        missing = [
            at[1 + y][1 + x] - (mean + (x * along_x + y * along_y) / 2)
            for y, x in product((-1, 1), repeat=2)
        ]
        weights = np.zeros((*blocks.count, 3, len(field.kernels)), np.float32)
        weights[:, :, 0, 0] = 1
        for i, part in enumerate((mean, along_x, along_y)):
            weights[:, :, i, 1:] = np.moveaxis(part, 0, -1)
        steps_y, steps_x = (
            _steps(first, last, side)
            for (first, last), side in zip(ends, blocks.cell, strict=True)
        )
        return cls(
            weights=weights,
            steps_y=steps_y,
            steps_x=steps_x,
            missing=_size(np.array(missing), field),
        )


def _steps(
    first: NDArray[np.float64], last: NDArray[np.float64], side: int
) -> NDArray[np.float32]:
    pixels = first[:, np.newaxis] + np.arange(side)
    middle = (first + last)[:, np.newaxis] / 2
    width = np.maximum(last - first, 1)[:, np.newaxis]
    return np.asarray((pixels - middle) / width, np.float32)


def _size(weights: NDArray[np.float64], field: KernelField) -> float:
    """Return the largest root of the sum of squares of kernels, shape (4, n, ...)."""
    flat = field.kernels.reshape(len(field.kernels), -1)
    products = flat[1:] @ flat[1:].T
    squares = np.einsum("cnyx,nm,cmyx->cyx", weights, products, weights, optimize=True)
    return float(np.sqrt(max(squares.max(), 0) / np.square(flat[0]).sum()))


@compiled
def tilt_cells(
    cells: NDArray[np.float32],
    steps_y: NDArray[np.float32],
    steps_x: NDArray[np.float32],
) -> None:
    """Add to the first parts of cells the two others, by the distance of each pixel.

    Parameters
    ----------
    cells : ndarray of float32, shape (n, 3, hy, hx)
        Changed in place.
    steps_y, steps_x : ndarray of float32, shape (hy,) and (n, hx)
    """
    n, _, height, width = cells.shape
    for i in range(n):
        along = steps_x[i]
        for y in range(height):
            value, of_x, of_y = cells[i, 0, y], cells[i, 1, y], cells[i, 2, y]
            step = steps_y[y]
            for x in range(width):
                value[x] += along[x] * of_x[x] + step * of_y[x]
