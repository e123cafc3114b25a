"""Convolution with kernels that are constant or vary smoothly over an image.

Images are cut into blocks that overlap by the size of the kernel, and the blocks
are convolved by Fourier transforms (overlap-save). The cost grows with the number
of pixels alone: about that of three full-frame transforms for a constant kernel,
of six to ten for one that varies.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.blocks import Blocks, Border, mix
from streamdiff.imaging.kernel_field import KernelField
from streamdiff.model import MatchingKernel

# Blocks of this size, overlaps included, waste little on them, and fit the cache.
_BLOCK = 256
# Along an axis, so many kernels that are constant tell one that varies.
_BLOCKS = 16
# Of this order, a kernel is a sum of three: they take less time than four nodes.
_PLANES = 1

# The kernel between nodes is interpolated: its error falls with their distance
# squared, and is 1/512 of a quadratic coefficient with 32 cells along an axis.
_CELLS = 32
_SMALLEST_CELL = 32


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
    blocks = _large_blocks(plane, kernel.shape)
    spectrum = blocks.transform(kernel)
    convolved = np.empty(plane.shape, np.float32)
    for row, columns, spectra in blocks.batches(plane, border):
        blocks.paste(convolved, row, columns, blocks.invert(spectra * spectrum))
    return convolved


def convolve_varying(
    plane: NDArray[Any],
    kernel_at: Callable[[float, float], NDArray[Any]],
    kernel_shape: tuple[int, int],
    *,
    cell: int = 128,
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

    def transform_nodes(y: float) -> NDArray[np.complex64]:
        kernels = np.array([kernel_at(x, y) for x in nodes_x])
        if kernels.shape[1:] != kernel_shape:
            raise ValueError(f"kernel {kernels.shape[1:]} announced as {kernel_shape}")
        return blocks.transform(kernels)

    def blend(
        spectra: NDArray[np.complex64], nodes: NDArray[np.complex64], columns: slice
    ) -> NDArray[np.float32]:
        left = blocks.invert(spectra * nodes[:-1][columns])
        right = blocks.invert(spectra * nodes[1:][columns])
        return mix(left, right, weight_x[columns, np.newaxis])

    convolved = np.empty(plane.shape, np.float32)
    above = transform_nodes(nodes_y[0])
    for row, columns, spectra in blocks.batches(plane, border):
        if columns.start == 0:
            below = above
            above = transform_nodes(nodes_y[row + 1])
        mixed = mix(
            blend(spectra, below, columns),
            blend(spectra, above, columns),
            weight_y[row][:, np.newaxis],
        )
        blocks.paste(convolved, row, columns, mixed)
    return convolved


def convolve_field(
    plane: NDArray[Any], field: KernelField, *, border: Border = "zero"
) -> NDArray[np.float32]:
    """Return an image convolved with a kernel that is a sum of few.

    Parameters
    ----------
    plane : ndarray, shape (ny, nx)
        Finite everywhere: a NaN would spread over its block.
    field : KernelField
        Its position is that of the *result*.
    border : {"zero", "mirror"}
        What lies outside the image.

    Notes
    -----
    Every pixel is the weighted sum of the convolutions with each of the kernels:
    blocks may be large, and no seam shows between them.
    """
    blocks = _large_blocks(plane, field.shape)
    first, *others = blocks.transform(field.kernels)
    of_rows, of_columns = (
        field.nodes.along(axis, blocks.pixels(axis)).astype(np.float32)
        for axis in (0, 1)
    )
    across = field.weights.astype(np.float32) @ of_columns.T
    convolved = np.empty(plane.shape, np.float32)
    height, width = blocks.cell
    for row, columns, spectra in blocks.batches(plane, border):
        along = of_rows[row * height :][:height]
        cells = slice(columns.start * width, columns.stop * width)
        total = blocks.invert(spectra * first)
        for spectrum, weights in zip(others, across[..., cells], strict=True):
            part = blocks.invert(spectra * spectrum)
            part *= blocks.cut(along @ weights)
            total += part
        blocks.paste(convolved, row, columns, total)
    return convolved


def convolve_in_blocks(
    plane: NDArray[Any], field: KernelField, *, border: Border = "zero"
) -> NDArray[np.float32]:
    """Return an image convolved with a kernel that varies from block to block.

    Parameters
    ----------
    plane : ndarray, shape (ny, nx)
        Finite everywhere: a NaN would spread over its block.
    field : KernelField
    border : {"zero", "mirror"}
        What lies outside the image.

    Notes
    -----
    Within a block the kernel is the one in its middle. That is for what does not
    change to first order with the kernel, as does a significance; it takes no longer
    than a constant kernel.
    """
    cell = int(np.clip(min(plane.shape) // _BLOCKS, _SMALLEST_CELL, _BLOCK))
    blocks = _large_blocks(plane, field.shape, cell)
    parts = blocks.transform(field.kernels)
    of_rows, of_columns = (
        field.nodes.along(axis, blocks.middles(axis)) for axis in (0, 1)
    )
    weights = np.ones((*blocks.count, len(parts)), np.float32)
    weights[..., 1:] = np.moveaxis(of_rows @ field.weights @ of_columns.T, 0, -1)
    convolved = np.empty(plane.shape, np.float32)
    for row, columns, spectra in blocks.batches(plane, border):
        # Of pairs of real numbers: weights are real.
        kernels = np.tensordot(weights[row, columns], parts.view(np.float32), 1)
        spectra *= kernels.view(np.complex64)
        blocks.paste(convolved, row, columns, blocks.invert(spectra))
    return convolved


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
    power = 2 if squared else 1

    def kernel_at(x: float, y: float) -> NDArray[np.float64]:
        kernel: NDArray[np.float64] = matching_kernel.at(x, y) ** power
        return kernel

    if matching_kernel.order == 0:
        return convolve(plane, kernel_at(0, 0), border=border)
    if matching_kernel.order == _PLANES and not squared:
        field = KernelField.of_match(matching_kernel)
        return convolve_field(plane, field, border=border)
    cell = 128
    if power * matching_kernel.order > 1:
        cell = int(np.clip(min(plane.shape) // _CELLS, _SMALLEST_CELL, cell))
    return convolve_varying(
        plane, kernel_at, matching_kernel.shape, cell=cell, border=border
    )


def _large_blocks(
    plane: NDArray[Any], kernel_shape: tuple[int, ...], largest: int = _BLOCK
) -> Blocks:
    side = max(kernel_shape)
    cell = min(max(_BLOCK - side + 1, 4 * side), largest)
    return Blocks.of(plane.shape, kernel_shape, cell)
