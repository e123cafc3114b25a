"""Convolution with kernels of few pixels, summed pixel by pixel."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.blocks import Border, window
from streamdiff.imaging.compiled import compiled, inlined
from streamdiff.imaging.strips import in_strips

# Side of the squares that share a kernel where it changes slowly [pixel].
CELL = 128
# Rows that are summed together, and pixels of a kernel's row: nine products of three
# pixels, which wait in registers.
_ROWS = _STRIDE = 3
# Sums so long stay in the nearest cache.
_LENGTH = 256


def convolve_compact(
    plane: NDArray[Any],
    kernels: NDArray[Any],
    weights: NDArray[Any],
    *,
    slopes: NDArray[Any] | None = None,
    border: Border = "zero",
) -> NDArray[np.float32]:
    """Return an image convolved with a kernel of few pixels for each of its cells.

    Parameters
    ----------
    plane : ndarray, shape (ny, nx)
    kernels : ndarray, shape (n, ky, kx)
        Kernels with odd sides, centred on their middle pixels.
    weights : ndarray, shape (cy, cx, n) or (cy, cx, 3, n)
        Of these in the kernel of each cell of the *result*, which are equal parts of
        the image, but for the last, which are cut: in one that is constant there; or
        in the mean, and in what it changes by from side to side along x and y.
    slopes : ndarray, shape (n, sy, sx), optional
        What of the kernels counts for the change along x.
    border : {"zero", "mirror"}
        What lies outside the image.

    Raises
    ------
    ValueError
        If a side of the kernels is even.

    Notes
    -----
    The cost grows with the number of pixels of a kernel, and of one of ``slopes``: 150
    take about as long as a full-frame Fourier transform.
    """
    ky, kx = kernels.shape[1:]
    if ky % 2 == 0 or kx % 2 == 0:
        raise ValueError(f"kernels must have odd sides, got {ky} x {kx}")
    if weights.ndim == 3:
        weights = weights[:, :, np.newaxis] * np.array([[1], [0], [0]])
        slopes = kernels[:, :0, :0]
    elif slopes is None:
        slopes = kernels
    margin = (ky - slopes.shape[1]) // 2, (kx - slopes.shape[2]) // 2
    parts = [_flipped(k) for k in (kernels, slopes, kernels)]
    height, width = plane.shape
    cell_height, cell_width = (
        -(-n // count) for n, count in zip(plane.shape, weights.shape[:2], strict=True)
    )
    columns = -(kx // 2), width + kx // 2 + _STRIDE
    convolved = np.empty(plane.shape, np.float32)

    def fill(cells: slice) -> None:
        for cell in range(cells.start, cells.stop):
            top, bottom = cell * cell_height, min((cell + 1) * cell_height, height)
            rows = top - ky // 2, bottom + ky // 2 + _ROWS
            shares = np.moveaxis(weights[cell], 1, 0).astype(np.float32)
            mean, along_x, along_y = map(_mixed, shares, parts)
            _sum(
                window(plane, rows, columns, border),
                (mean, along_y, along_x),
                margin,
                cell_width,
                convolved[top:bottom],
            )

    in_strips(fill, -(-height // cell_height))
    return convolved


def _flipped(kernels: NDArray[Any]) -> NDArray[np.float32]:
    """Return kernels as they are summed, in rows of whole strides."""
    spare = -kernels.shape[-1] % _STRIDE
    flipped = np.asarray(kernels[..., ::-1, ::-1], np.float32)
    return np.pad(flipped, ((0, 0), (0, 0), (0, spare)))


def _mixed(
    weights: NDArray[np.float32], kernels: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the sums of kernels, shape (n, ky, kx), of each of some cells."""
    return np.tensordot(weights, kernels, 1)


@compiled
def _sum(
    surrounded: NDArray[np.float32],
    kernels: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]],
    margin: tuple[int, int],
    cell: int,
    convolved: NDArray[np.float32],
) -> None:
    """Fill in a row of cells.

    The ``kernels`` are those of the cells, and how they change along y and x; the
    last ones begin at the ``margin`` of the others.
    """
    means, along_y, along_x = kernels
    height, width = convolved.shape
    weights, slopes = _room(means), _room(along_x)
    shape = _ROWS, _LENGTH
    sums, tilts = np.empty(shape, np.float32), np.empty(shape, np.float32)
    for number in range(len(means)):
        first, last = number * cell, min((number + 1) * cell, width)
        for k in range(_ROWS):
            _set(slopes, k, along_x[number], along_x[number], np.float32(0))
        for top in range(0, height, _ROWS):
            n_rows = min(_ROWS, height - top)
            for k in range(n_rows):
                step = _step(top + k, 0, height)
                _set(weights, k, means[number], along_y[number], step)
            for left in range(first, last, _LENGTH):
                n = min(_LENGTH, last - left)
                _add_up(surrounded, top, left, n, weights, sums)
                _add_up(surrounded, top + margin[0], left + margin[1], n, slopes, tilts)
                for k in range(n_rows):
                    target = convolved[top + k, left : left + n]
                    of_mean, of_slope = sums[k, :n], tilts[k, :n]
                    for x in range(n):
                        step = _step(left + x, first, last)
                        target[x] = of_mean[x] + step * of_slope[x]


@inlined
def _room(kernels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return room for a kernel's rows beside each other, as each of some rows sees it.

    The rows of the kernel above the first row of the image and below the last are 0.
    """
    _, ky, kx = kernels.shape
    return np.zeros((ky + _ROWS - 1, _ROWS, kx), np.float32)


@inlined
def _set(
    weights: NDArray[np.float32],
    row: int,
    mean: NDArray[np.float32],
    slope: NDArray[np.float32],
    step: np.float32,
) -> None:
    """Set the kernel of one of the rows."""
    for m in range(len(mean)):
        target, of_mean, of_slope = weights[m + row, row], mean[m], slope[m]
        for k in range(len(target)):
            target[k] = of_mean[k] + step * of_slope[k]


@inlined
def _step(position: int, first: int, last: int) -> np.float32:
    """Return how far a pixel is from the middle of a cell, from -1/2 to 1/2."""
    middle, width = np.float32(first + last - 1) / 2, max(last - first - 1, 1)
    return np.float32((np.float32(position) - middle) / np.float32(width))


@inlined
def _add_up(
    image: NDArray[np.float32],
    top: int,
    left: int,
    n: int,
    weights: NDArray[np.float32],
    sums: NDArray[np.float32],
) -> None:
    """Fill in the sums over the kernels of three rows of n pixels."""
    sums[:] = 0
    # Slices tell the compiler that no index is negative.
    a, b, c = sums[0, :n], sums[1, :n], sums[2, :n]
    for m in range(len(weights)):
        line = image[top + m]
        for k in range(left, left + weights.shape[2], _STRIDE):
            p, q, r = line[k : k + n], line[k + 1 : k + 1 + n], line[k + 2 : k + 2 + n]
            u, v, w = weights[m, 0], weights[m, 1], weights[m, 2]
            u0, u1, u2 = u[k - left], u[k - left + 1], u[k - left + 2]
            v0, v1, v2 = v[k - left], v[k - left + 1], v[k - left + 2]
            w0, w1, w2 = w[k - left], w[k - left + 1], w[k - left + 2]
            for x in range(n):
                a[x] += u0 * p[x] + u1 * q[x] + u2 * r[x]
                b[x] += v0 * p[x] + v1 * q[x] + v2 * r[x]
                c[x] += w0 * p[x] + w1 * q[x] + w2 * r[x]
