"""Convolution with kernels that are constant or vary smoothly over an image.

Images are cut into blocks that overlap by the size of the kernel, and the blocks
are convolved by Fourier transforms (overlap-save). The cost grows with the number
of pixels alone: about that of two full-frame transforms for a constant kernel, of
six for one that varies. Small kernels that vary are summed pixel by pixel, for less.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.blocks import Blocks, Border, mix
from streamdiff.imaging.compact import convolve_compact
from streamdiff.imaging.kernel_field import KernelField, cropped
from streamdiff.imaging.local_kernels import LocalKernels, tilt_cells
from streamdiff.imaging.spectra import times_sums
from streamdiff.model import MatchingKernel

# Sides of blocks, overlaps included. The largest waste little on them, and fit the
# cache; the smaller ones follow kernels that vary.
_BLOCKS = (256, 192, 150, 120, 96, 75, 60, 48, 36, 24)
# What may be missing of a matching kernel.
_MATCHING_TOLERANCE = 2e-3

# The kernel between nodes is interpolated: its error falls with their distance
# squared, and is 1/512 of a quadratic coefficient with 32 cells along an axis.
_CELLS, _SMALLEST_CELL, _LARGEST_CELL = 32, 32, 128
# Kernels of at most so many pixels take longer to transform than to sum, in cells of
# these widths [pixel]. The cost does not depend on their heights, which are a half.
_COMPACT, _WIDTHS = 21**2, (96, 64, 32, 16)
# Of the tolerance of a kernel, this part is for what is cut off its change along x.
_SLOPES = 0.01
# Rows of nodes whose spectra are kept; two belong to a row of blocks in work.
_KEPT_ROWS = 16


def convolve(
    plane: NDArray[Any], kernel: NDArray[Any], *, border: Border = "zero"
) -> NDArray[np.float32]:
    """Return an image convolved with one kernel.

    Parameters
    ----------
    plane : ndarray, shape (ny, nx)
        Finite everywhere: a NaN would spread over its block.
    kernel : ndarray, shape (ky, kx)
        Kernel with odd sides, centred on its middle pixel.
    border : {"zero", "mirror"}
        What lies outside the image.

    Raises
    ------
    ValueError
        If a side of the kernel is even.
    """
    blocks = Blocks.of(plane.shape, kernel.shape, _cell(kernel.shape))
    spectrum = blocks.transform(kernel)
    return blocks.convolve(
        plane, border, lambda _row, _columns, spectra: blocks.invert(spectra * spectrum)
    )


def convolve_varying(
    plane: NDArray[Any],
    kernel_at: Callable[[float, float], NDArray[Any]],
    kernel_shape: tuple[int, int],
    *,
    cell: int = _LARGEST_CELL,
    border: Border = "zero",
) -> NDArray[np.float32]:
    """Return an image convolved with a kernel that varies smoothly over it.

    Parameters
    ----------
    plane : ndarray, shape (ny, nx)
        Finite everywhere: a NaN would spread over its block.
    kernel_at : callable
        Kernel at the position (x, y) [pixel] of the *result*; shape (ky, kx).
    kernel_shape : tuple of int
        (ky, kx), both odd.
    cell : int
        Distance [pixel] of the nodes where the kernel is evaluated.
    border : {"zero", "mirror"}
        What lies outside the image.

    Raises
    ------
    ValueError
        If a side of the kernel is even, or a kernel has another shape.

    Notes
    -----
    Every pixel is the bilinear mean of the convolutions with the kernels of the
    four nodes around it, which is the convolution with the bilinear mean of the
    kernels. It is continuous: no seam shows where blocks meet. It is exact for
    kernels that are bilinear in x and y.
    """
    blocks = Blocks.of(plane.shape, kernel_shape, cell)
    nodes_y, nodes_x = blocks.nodes
    weight_y, weight_x = blocks.weights

    @lru_cache(maxsize=_KEPT_ROWS)
    def of_nodes(row: int) -> NDArray[np.complex64]:
        kernels = np.array([kernel_at(x, nodes_y[row]) for x in nodes_x])
        if kernels.shape[1:] != kernel_shape:
            raise ValueError(f"kernel {kernels.shape[1:]} announced as {kernel_shape}")
        return blocks.transform(kernels)

    def along_x(
        spectra: NDArray[np.complex64], row: int, columns: slice
    ) -> NDArray[np.float32]:
        nodes = of_nodes(row)
        left = blocks.invert(spectra * nodes[:-1][columns])
        right = blocks.invert(spectra * nodes[1:][columns])
        return mix(left, right, weight_x[columns, np.newaxis])

    def blend(
        row: int, columns: slice, spectra: NDArray[np.complex64]
    ) -> NDArray[np.float32]:
        above, below = (along_x(spectra, row + i, columns) for i in (0, 1))
        return mix(above, below, weight_y[row][:, np.newaxis])

    return blocks.convolve(plane, border, blend)


def convolve_field(
    plane: NDArray[Any],
    field: KernelField,
    *,
    border: Border = "zero",
    tolerance: float = 1e-3,
) -> NDArray[np.float32]:
    """Return an image convolved with a kernel that varies smoothly over it.

    Parameters
    ----------
    plane : ndarray, shape (ny, nx)
        Finite everywhere: a NaN would spread over its block.
    field : KernelField
        Its position is that of the *result*.
    border : {"zero", "mirror"}
        What lies outside the image.
    tolerance : float
        Of the kernel, so much may be missing: the root of the sum of its squares,
        over that of the mean kernel.

    Notes
    -----
    Within a block, the kernel is the mean one, and changes linearly along x
    and y: every pixel is the sum of three convolutions. Blocks are as large as this
    is true. Where they meet, the kernels differ in the third order of their size.
    """
    if field.is_constant:
        return convolve(plane, field.kernels[0], border=border)
    if field.kernels[0].size <= _COMPACT:
        return _convolve_compact(plane, field, border, tolerance)
    for block in _BLOCKS:
        blocks = Blocks.of(plane.shape, field.shape, _cell(field.shape, block))
        local = LocalKernels.of(field, blocks)
        if local.missing <= tolerance:
            break
    parts = blocks.transform(field.kernels)

    def tilted(
        row: int, columns: slice, spectra: NDArray[np.complex64]
    ) -> NDArray[np.float32]:
        products = times_sums(spectra, local.weights[row, columns], parts)
        cells = blocks.invert(products)
        tilt_cells(cells, local.steps_y[row], local.steps_x[columns])
        return cells[:, 0]

    return blocks.convolve(plane, border, tilted)


def _convolve_compact(
    plane: NDArray[Any], field: KernelField, border: Border, tolerance: float
) -> NDArray[np.float32]:
    for width in _WIDTHS:
        blocks = Blocks.of(plane.shape, field.shape, (width // 2, width))
        local = LocalKernels.of(field, blocks)
        if local.missing <= tolerance:
            break
    along_x = local.weights[:, :, 1].reshape(-1, len(field.kernels))
    # The sum of the squares, over all cells, of each pixel of the change along x.
    power = np.einsum(
        "nyx,nm,myx->yx", field.kernels, along_x.T @ along_x, field.kernels
    )
    # It counts by half, at the sides of a cell.
    limit = np.square(2 * _SLOPES * tolerance * field.kernels[0]).sum() * len(along_x)
    cut = limit / max(power.sum(), limit)
    return convolve_compact(
        plane,
        field.kernels,
        local.weights,
        slopes=cropped(field.kernels, power[np.newaxis], cut),
        border=border,
    )


def convolve_matching(
    plane: NDArray[Any],
    matching_kernel: MatchingKernel,
    *,
    squared: bool = False,
    border: Border = "zero",
) -> NDArray[np.float32]:
    """Return an image convolved with a matching kernel.

    Parameters
    ----------
    plane : ndarray, shape (ny, nx)
        Finite everywhere; of the shape that the kernel was fitted on.
    matching_kernel : MatchingKernel
    squared : bool
        Convolve with the square of the kernel, as variances are.
    border : {"zero", "mirror"}
        What lies outside the image.
    """
    if not squared:
        field = KernelField.of_match(matching_kernel)
        return convolve_field(
            plane, field, border=border, tolerance=_MATCHING_TOLERANCE
        )

    def kernel_at(x: float, y: float) -> NDArray[np.float64]:
        return np.square(matching_kernel.at(x, y))

    cell = int(np.clip(min(plane.shape) // _CELLS, _SMALLEST_CELL, _LARGEST_CELL))
    return convolve_varying(
        plane, kernel_at, matching_kernel.shape, cell=cell, border=border
    )


def _cell(kernel_shape: tuple[int, ...], block: int = _BLOCKS[0]) -> int:
    """Return the side of the cell of a block; most of the block, if it is large."""
    side = max(kernel_shape)
    return max(block - side + 1, (4 if block == _BLOCKS[0] else 1) * side)
