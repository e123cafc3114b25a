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
        weights = _weights(nodes, Blocks.of(variance.shape, shapes.shape[1:], CELL))
        propagated = convolve_compact(variance, shapes, weights, border="mirror")
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


def _weights(nodes: Nodes, blocks: Blocks) -> NDArray[np.float64]:
    """Return the share of each node in the middle of each cell; (cy, cx, gy * gx)."""
    of_rows, of_columns = (nodes.along(axis, blocks.middles(axis)) for axis in (0, 1))
    shares: NDArray[np.float64] = np.einsum("rj,ci->rcji", of_rows, of_columns)
    return shares.reshape(*blocks.count, -1)
