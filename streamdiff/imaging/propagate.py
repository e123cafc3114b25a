"""The variance of white noise after a convolution."""

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.blocks import Blocks
from streamdiff.imaging.compact import CELL, convolve_compact
from streamdiff.imaging.convolve import convolve_field
from streamdiff.imaging.kernel_field import KernelField, Nodes, trimmed
from streamdiff.model import MatchingKernel

# What may be cut off the square of a kernel: this part of its sum.
_CUT = 3e-4
# Squares of more pixels take longer to sum than to transform.
_COMPACT = 13**2
# Nodes along an axis that the square of a matching kernel follows.
_NODES = 9
_TOLERANCE = 0.01


def propagate_variance(
    variance: NDArray[np.float32], kernels: NDArray[np.floating], nodes: Nodes
) -> NDArray[np.float32]:
    """Return the variance of white noise after a convolution; shape (ny, nx).

    Parameters
    ----------
    variance : ndarray of float32, shape (ny, nx)
        Before; finite everywhere. Beyond the border is its mirror image.
    kernels : ndarray of float, shape (gy * gx, ky, kx)
        What the noise is convolved with at each node, row by row; of odd sides.
    nodes : Nodes

    Notes
    -----
    Blank sky is multiplied by the sum of the squared kernel, which is smooth over
    the image. Its shape, which counts around stars alone, is the same within squares
    of 128 px, or that of few kernels together.
    """
    squares = np.square(kernels)
    power = squares.sum(axis=(1, 2), keepdims=True)
    shapes = trimmed(squares / power, squares / power, _CUT)
    shapes /= shapes.sum(axis=(1, 2), keepdims=True)
    if shapes[0].size <= _COMPACT:
        cells = _in_cells(shapes, nodes, variance.shape)
        propagated = convolve_compact(variance, cells, border="mirror")
    else:
        field = KernelField.of(shapes, nodes, tolerance=_TOLERANCE)
        propagated = convolve_field(
            variance, field, border="mirror", tolerance=_TOLERANCE
        )
    nodes.multiply(propagated, power.reshape(nodes.shape))
    return propagated


def propagate_matching(
    variance: NDArray[np.float32], kernel: MatchingKernel
) -> NDArray[np.float32]:
    """Return the variance of white noise that a matching kernel convolved.

    Parameters
    ----------
    variance : ndarray of float32, shape (ny, nx)
        See `propagate_variance`.
    kernel : MatchingKernel
    """
    side = _NODES if kernel.order else 1
    nodes = Nodes.spread(kernel.image_shape, (side, side))
    weights = kernel.weights(*nodes.positions)
    return propagate_variance(variance, np.tensordot(weights.T, kernel.basis, 1), nodes)


def _in_cells(
    shapes: NDArray[np.floating], nodes: Nodes, image_shape: tuple[int, ...]
) -> NDArray[np.floating]:
    """Return kernels of sum 1 in the cells of an image; shape (cy, cx, ky, kx)."""
    blocks = Blocks.of(image_shape, shapes.shape[1:], CELL)
    of_rows, of_columns = (
        nodes.along(axis, np.mean(blocks.ends(axis), axis=0)) for axis in (0, 1)
    )
    if nodes.shape == (1, 1):
        of_rows, of_columns = of_rows[:1], of_columns[:1]
    at_nodes = shapes.reshape(*nodes.shape, *shapes.shape[1:])
    cells: NDArray[np.floating] = np.einsum(
        "rj,ci,jiyx->rcyx", of_rows, of_columns, at_nodes, optimize=True
    )
    return cells
