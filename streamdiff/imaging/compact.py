"""Convolution with kernels of few pixels, summed pixel by pixel."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.blocks import Border, window
from streamdiff.imaging.compiled import compiled
from streamdiff.imaging.strips import in_strips

# Side of the squares that share a kernel [pixel].
CELL = 128
# Pixels of a kernel's row that are summed in one go.
_STRIDE = 4


def convolve_compact(
    plane: NDArray[Any], kernels: NDArray[Any], *, border: Border = "zero"
) -> NDArray[np.float32]:
    """Return an image convolved with a kernel of few pixels for each of its cells.

    Parameters
    ----------
    plane : ndarray, shape (ny, nx)
    kernels : ndarray, shape (cy, cx, ky, kx)
        Kernels with odd sides, centred on their middle pixels, one for each square
        of `CELL` pixels of the *result*. The last along an axis serves the rest.
    border : {"zero", "mirror"}
        What lies outside the image.

    Raises
    ------
    ValueError
        If a side of the kernels is even.

    Notes
    -----
    The cost grows with the number of pixels of a kernel: 60 take about as long as a
    full-frame Fourier transform.
    """
    ky, kx = kernels.shape[2:]
    if ky % 2 == 0 or kx % 2 == 0:
        raise ValueError(f"kernels must have odd sides, got {ky} x {kx}")
    spare = -kx % _STRIDE
    flipped = np.pad(kernels[..., ::-1, ::-1], ((0, 0), (0, 0), (0, 0), (0, spare)))
    flipped = flipped.astype(np.float32)
    height, width = plane.shape
    columns = -(kx // 2), width + kx // 2 + spare
    convolved = np.zeros(plane.shape, np.float32)

    def fill(cells: slice) -> None:
        for cell in range(cells.start, cells.stop):
            top, bottom = cell * CELL, min((cell + 1) * CELL, height)
            rows = top - ky // 2, bottom + ky // 2
            surrounded = window(plane, rows, columns, border)
            of_row = flipped[min(cell, len(flipped) - 1)]
            _sum(surrounded, of_row, CELL, convolved[top:bottom])

    in_strips(fill, -(-height // CELL))
    return convolved


@compiled
def _sum(
    surrounded: NDArray[np.float32],
    kernels: NDArray[np.float32],
    cell: int,
    convolved: NDArray[np.float32],
) -> None:
    """Add the sums over the kernels of a row, which are multiples of four wide."""
    height, width = convolved.shape
    columns, ky, kx = kernels.shape
    for y in range(height):
        for left in range(0, width, cell):
            kernel = kernels[min(left // cell, columns - 1)]
            total = convolved[y, left : left + cell]
            n = total.size
            for m in range(ky):
                line = surrounded[y + m, left:]
                # Slices tell the compiler that no index is negative.
                for k in range(0, kx, 4):
                    w = kernel[m, k : k + 4]
                    a, b = line[k : k + n], line[k + 1 : k + 1 + n]
                    c, d = line[k + 2 : k + 2 + n], line[k + 3 : k + 3 + n]
                    w0, w1, w2, w3 = w[0], w[1], w[2], w[3]
                    for x in range(n):
                        total[x] += w0 * a[x] + w1 * b[x] + w2 * c[x] + w3 * d[x]
