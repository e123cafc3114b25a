"""Images convolved with a kernel that varies from block to block.

For a matched filter: near the right kernel its significance does not change to first
order with the kernel, so each block has the one in its middle. Several images share
the kernels, and the pixels that do not count are left out on the way.
"""

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import fft

from streamdiff.imaging.blocks import Blocks
from streamdiff.imaging.compiled import compiled
from streamdiff.imaging.kernel_field import KernelField
from streamdiff.imaging.strips import in_strips
from streamdiff.model.planes import read_only

# Side of the largest blocks, overlaps included; along an axis, at least so many tell
# a kernel that varies, unless they were smaller than this.
_BLOCK, _ALONG_AXIS, _SMALLEST_CELL = 256, 16, 32
# Pixels of the blocks that are transformed together: they stay in the cache.
_BATCH = 2**16


def filter_in_blocks(
    planes: Sequence[NDArray[np.float32]],
    good: NDArray[np.bool_],
    field: KernelField,
) -> list[NDArray[np.float32]]:
    """Return images convolved with a kernel that varies from block to block.

    Parameters
    ----------
    planes : sequence of ndarray of float32, shape (ny, nx)
    good : ndarray of bool, shape (ny, nx)
        Pixels that count. Others are 0, as are those that are not finite, and what
        lies outside the image.
    field : KernelField

    Notes
    -----
    It takes about as long as two transforms of each whole image.
    """
    blocks = _blocks(good.shape, field)
    lines, turns = _transformed_rows(field, blocks)
    weights = _weights(field, blocks)
    given = [read_only(np.ascontiguousarray(plane, np.float32)) for plane in planes]
    counts = read_only(good)
    results = [np.empty(good.shape, np.float32) for _ in planes]
    above, left = (k // 2 for k in field.shape)
    height, width = blocks.padded
    length = (blocks.count[1] - 1) * blocks.cell[1] + width
    step = max(1, _BATCH // (height * width))

    def fill(rows: slice) -> None:
        strips = np.empty((len(planes), height, length), np.float32)
        windows = sliding_window_view(strips, width, axis=2)[:, :, :: blocks.cell[1]]
        for row in range(rows.start, rows.stop):
            for plane, strip in zip(given, strips, strict=True):
                _take_in(plane, counts, row * blocks.cell[0] - above, left, strip)
            for first in range(0, blocks.count[1], step):
                columns = slice(first, min(first + step, blocks.count[1]))
                mixed = np.tensordot(weights[row, columns], lines, 1)
                kernels = turns @ mixed.view(np.complex64)
                for window, result in zip(windows, results, strict=True):
                    spectra = fft.rfft2(window[:, columns].transpose(1, 0, 2))
                    spectra *= kernels
                    blocks.paste(result, row, columns, blocks.invert(spectra))

    in_strips(fill, blocks.count[0])
    return results


def _blocks(shape: tuple[int, ...], field: KernelField) -> Blocks:
    side = max(field.shape)
    cell = max(_BLOCK - side + 1, 4 * side)
    if not field.is_constant:
        cell = min(cell, max(min(shape) // _ALONG_AXIS, _SMALLEST_CELL))
    return Blocks.of(shape, field.shape, cell)


def _transformed_rows(
    field: KernelField, blocks: Blocks
) -> tuple[NDArray[np.float32], NDArray[np.complex64]]:
    """Return the spectra of rows of kernels, and what makes of them those of kernels.

    Few rows are not 0: to transform their columns as a product of matrices takes less
    memory than the spectra of all kernels, which would not stay in the cache. Weights
    are real: spectra count as pairs of real numbers.
    """
    height, width = blocks.padded
    rows = fft.rfft(np.asarray(field.kernels, np.float32), n=width)
    phases = np.outer(np.arange(height), np.arange(field.shape[0])) / height
    return rows.view(np.float32), np.exp(-2j * np.pi * phases).astype(np.complex64)


def _weights(field: KernelField, blocks: Blocks) -> NDArray[np.float32]:
    """Return the share of each kernel in that of each block; shape (cy, cx, n)."""
    of_rows, of_columns = (
        field.nodes.along(axis, np.mean(blocks.ends(axis), axis=0)) for axis in (0, 1)
    )
    weights = np.ones((*blocks.count, len(field.kernels)), np.float32)
    weights[..., 1:] = np.moveaxis(of_rows @ field.weights @ of_columns.T, 0, -1)
    return weights


@compiled
def _take_in(
    plane: NDArray[np.float32],
    good: NDArray[np.bool_],
    top: int,
    left: int,
    strip: NDArray[np.float32],
) -> None:
    """Copy what counts of the rows from ``top`` on; all else is 0."""
    height, width = plane.shape
    right = left + min(width, strip.shape[1] - left)
    for i in range(strip.shape[0]):
        y, target = top + i, strip[i]
        if y < 0 or y >= height:
            target[:] = 0
            continue
        target[:left] = target[right:] = 0
        source, counts = plane[y], good[y]
        for x in range(right - left):
            value = source[x]
            used = counts[x] & np.isfinite(value)
            target[left + x] = value if used else np.float32(0)
