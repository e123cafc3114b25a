"""The spectra of kernels that vary over an image, one for each block of it.

For a matched filter: near the right kernel its significance does not change to first
order with the kernel, so each block has the one in its middle.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from streamdiff.imaging.blocks import Blocks
from streamdiff.imaging.kernel_field import KernelField


class BlockKernels(Protocol):
    """Kernels of the blocks of an image."""

    def spectra(self, row: int, columns: slice) -> NDArray[np.complex64]:
        """Return the spectra of kernels of some blocks of a row; shape (n, ...)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MixedKernels:
    """Sums of few kernels.

    Few rows of kernels are not 0: to transform their columns as a product of matrices
    takes less memory than the spectra of all kernels, which would not stay in the
    cache. Weights are real: spectra count as pairs of real numbers.

    Attributes
    ----------
    weights : ndarray of float32, shape (cy, cx, n)
        The share of each kernel in that of each block.
    lines : ndarray of float32, shape (n, ky * 2 * (width // 2 + 1))
        The spectra of the rows of the kernels.
    turns : ndarray of complex64, shape (height, ky)
        What makes of these the spectra of kernels.
    """

    weights: NDArray[np.float32]
    lines: NDArray[np.float32]
    turns: NDArray[np.complex64]

    @classmethod
    def of(cls, field: KernelField, blocks: Blocks) -> "MixedKernels":
        """Return the kernels of blocks, which are cut for these or larger ones."""
        height, width = blocks.padded
        ky, kx = field.shape
        top, left = (
            (blocks.kernel_shape[0] - ky) // 2,
            (blocks.kernel_shape[1] - kx) // 2,
        )
        kernels = np.pad(field.kernels, ((0, 0), (0, 0), (left, 0)))
        lines = fft.rfft(np.asarray(kernels, np.float32), n=width)
        phases = np.outer(np.arange(height), top + np.arange(ky)) / height
        of_rows, of_columns = (
            field.nodes.along(axis, blocks.middles(axis)) for axis in (0, 1)
        )
        weights = np.ones((*blocks.count, len(kernels)), np.float32)
        weights[..., 1:] = np.moveaxis(of_rows @ field.weights @ of_columns.T, 0, -1)
        return cls(
            weights=weights,
            lines=lines.view(np.float32).reshape(len(kernels), -1),
            turns=np.exp(-2j * np.pi * phases).astype(np.complex64),
        )

    def spectra(self, row: int, columns: slice) -> NDArray[np.complex64]:
        """Return the spectra of kernels of some blocks of a row; shape (n, ...)."""
        mixed = (self.weights[row, columns] @ self.lines).view(np.complex64)
        rows = mixed.reshape(len(mixed), self.turns.shape[1], -1)
        spectra: NDArray[np.complex64] = self.turns @ rows
        return spectra


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SampledKernels:
    """Kernels of which nothing is known but their values.

    Attributes
    ----------
    blocks : Blocks
    kernel_at : callable
        The kernel at a position x, y [pixel]; of the shape that blocks are cut for.
    """

    blocks: Blocks
    kernel_at: Callable[[float, float], NDArray[np.float64]]

    def spectra(self, row: int, columns: slice) -> NDArray[np.complex64]:
        """Return the spectra of kernels of some blocks of a row; shape (n, ...)."""
        y, x = self.blocks.middles(0)[row], self.blocks.middles(1)[columns]
        return self.blocks.transform(
            np.array([self.kernel_at(float(column), float(y)) for column in x])
        )
