"""Images cut into blocks that overlap, for convolution by Fourier transforms."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil
from typing import Any, Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import fft

from streamdiff.imaging.strips import in_strips

# What lies outside the image: nothing, or its mirror image.
Border = Literal["zero", "mirror"]

# Pixels of the blocks that are transformed together.
_BATCH = 2**16
# A power of two is transformed faster than what is less by this part.
_POWER_OF_TWO = 1 / 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """The partition of an image into cells, a few of them at a time.

    Attributes
    ----------
    shape, kernel_shape : tuple of int
        Of the image and the kernel.
    cell : tuple of int
        Sides of a cell [pixel]; those at the far borders may be cut.
    count : tuple of int
        Cells along y and x.
    padded : tuple of int
        Sides of a block: at least those of a cell and its overlaps.
    """

    shape: tuple[int, int]
    kernel_shape: tuple[int, int]
    cell: tuple[int, int]
    count: tuple[int, int]
    padded: tuple[int, int]

    @classmethod
    def of(
        cls,
        shape: tuple[int, ...],
        kernel_shape: tuple[int, ...],
        cell: int | tuple[int, int],
    ) -> "Blocks":
        """Return the partition into equal cells of at most the wanted sides."""
        (ny, nx), (ky, kx) = shape, kernel_shape
        if ky % 2 == 0 or kx % 2 == 0:
            raise ValueError(f"kernels must have odd sides, got {ky} x {kx}")
        most = cell if isinstance(cell, tuple) else (cell, cell)
        hy, hx = (ceil(n / ceil(n / m)) for n, m in zip((ny, nx), most, strict=True))
        return cls(
            shape=(ny, nx),
            kernel_shape=(ky, kx),
            cell=(hy, hx),
            count=(ceil(ny / hy), ceil(nx / hx)),
            padded=(_fast(hy + ky - 1), _fast(hx + kx - 1)),
        )

    @property
    def nodes(self) -> tuple[list[float], list[float]]:
        """Return the rows and columns of the corners of the cells."""
        y, x = (
            [float(min(i * side, size - 1)) for i in range(count + 1)]
            for size, side, count in zip(self.shape, self.cell, self.count, strict=True)
        )
        return y, x

    @property
    def weights(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return how far, from 0 to 1, pixels are from one node to the next.

        Their shapes are (cells along y, cell height) and the same along x.
        """
        y, x = (
            _fractions(np.array(nodes), side)
            for nodes, side in zip(self.nodes, self.cell, strict=True)
        )
        return y, x

    def ends(self, axis: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the positions along an axis of the first and last pixels of cells."""
        first = self.cell[axis] * np.arange(self.count[axis], dtype=float)
        last = np.minimum(first + self.cell[axis], self.shape[axis]) - 1
        return first, last

    def middles(self, axis: int) -> NDArray[np.float64]:
        """Return the positions along an axis of the middles of cells."""
        first, last = self.ends(axis)
        middles: NDArray[np.float64] = (first + last) / 2
        return middles

    def transform(self, kernels: NDArray[Any]) -> NDArray[np.complex64]:
        """Return the spectra of kernels; shape (..., ky, kx) in."""
        spectra: NDArray[np.complex64] = fft.rfft2(
            np.asarray(kernels, np.float32), s=self.padded
        )
        return spectra

    def convolve(
        self,
        plane: NDArray[Any],
        border: Border,
        convolve_blocks: Callable[
            [int, slice, NDArray[np.complex64]], NDArray[np.float32]
        ],
    ) -> NDArray[np.float32]:
        """Return an image that is convolved block by block.

        Parameters
        ----------
        plane : ndarray, shape (ny, nx)
        border : {"zero", "mirror"}
            What lies outside the image.
        convolve_blocks : callable
            Given the row, the columns and the spectra of some blocks, returns the
            pixels of their cells, from `invert`.
        """
        convolved = np.empty(self.shape, np.float32)

        def fill(rows: slice) -> None:
            for row in range(rows.start, rows.stop):
                for columns, spectra in self._batches(plane, border, row):
                    cells = convolve_blocks(row, columns, spectra)
                    self.paste(convolved, row, columns, cells)

        in_strips(fill, self.count[0])
        return convolved

    def _batches(
        self, plane: NDArray[Any], border: Border, row: int
    ) -> Iterator[tuple[slice, NDArray[np.complex64]]]:
        """Yield the columns and the spectra of blocks of a row, a few at a time.

        Pixels and spectra of a batch stay in the cache.
        """
        (height, width), (ky, kx) = self.padded, self.kernel_shape
        top, left = row * self.cell[0] - ky // 2, -(kx // 2)
        # Real pixels, rather than zeros, bring a block to the sides of its transform.
        right = left + (self.count[1] - 1) * self.cell[1] + width
        strip = window(plane, (top, top + height), (left, right), border)
        windows = sliding_window_view(strip, width, axis=1)[:, :: self.cell[1]]
        step = max(1, _BATCH // (height * width))
        for first in range(0, self.count[1], step):
            columns = slice(first, min(first + step, self.count[1]))
            yield columns, fft.rfft2(windows[:, columns].transpose(1, 0, 2))

    def invert(self, spectra: NDArray[np.complex64]) -> NDArray[np.float32]:
        """Return the pixels of cells, free of what wraps around their blocks."""
        (hy, hx), (ky, kx) = self.cell, self.kernel_shape
        pixels: NDArray[np.float32] = fft.irfft2(
            spectra, s=self.padded, overwrite_x=True
        )
        return pixels[..., ky - 1 : ky - 1 + hy, kx - 1 : kx - 1 + hx]

    def paste(
        self,
        plane: NDArray[np.float32],
        row: int,
        columns: slice,
        cells: NDArray[np.float32],
    ) -> None:
        """Write cells of a row to where they belong in the result."""
        height, width = self.cell
        strip = plane[row * height :][:height]
        for column, cell in zip(range(columns.start, columns.stop), cells, strict=True):
            target = strip[:, column * width :][:, :width]
            target[:] = cell[: target.shape[0], : target.shape[1]]


def _fast(side: int) -> int:
    """Return a side of at least this size that is transformed fast."""
    power = 1 << (side - 1).bit_length()
    if power <= side * (1 + _POWER_OF_TWO):
        return power
    return int(fft.next_fast_len(side, real=True))


def window(
    plane: NDArray[Any], rows: tuple[int, int], columns: tuple[int, int], border: Border
) -> NDArray[np.float32]:
    """Return rows and columns of an image, and of what lies outside it.

    Parameters
    ----------
    plane : ndarray, shape (ny, nx)
    rows, columns : tuple of int
        The first and the one after the last, also outside the image.
    border : {"zero", "mirror"}
        What lies outside. A mirror shows no more than there is in the window.
    """
    (top, bottom), (left, right) = rows, columns
    ny, nx = plane.shape
    margins = (
        (max(-top, 0), max(bottom - ny, 0)),
        (max(-left, 0), max(right - nx, 0)),
    )
    inside = plane[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    mode: Literal["constant", "symmetric"]
    mode = "constant" if border == "zero" else "symmetric"
    return np.pad(np.asarray(inside, np.float32), margins, mode=mode)


def _fractions(nodes: NDArray[np.float64], side: int) -> NDArray[np.float32]:
    pixels = side * np.arange(len(nodes) - 1)[:, np.newaxis] + np.arange(side)
    distance = np.maximum(np.diff(nodes), 1)[:, np.newaxis]
    fractions: NDArray[np.float64] = (pixels - nodes[:-1, np.newaxis]) / distance
    return np.clip(fractions, 0, 1).astype(np.float32)


def mix(
    first: NDArray[np.float32], second: NDArray[np.float32], weight: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return first + weight (second - first), written into ``second``."""
    second -= first
    second *= weight
    second += first
    return second
