"""The Lanczos kernel, and its weights for compiled loops.

Duchon 1979, J. Appl. Meteorol. 18, 1016: the sinc that interpolates band-limited
data without loss, tapered by the main lobe of a wider sinc to ``order`` pixels on
either side.
"""

from functools import cache

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from streamdiff.imaging.compiled import inlined
from streamdiff.model.planes import read_only

# The weight of each pixel is a polynomial of the phase. At this degree they err by
# less than 4e-7 for an order of 2, and 1e-7 for one of 5, rounding included.
DEGREE = 9
# Phases that polynomials are fitted at.
_NODES = 200

Float = np.float32


def lanczos(distance: NDArray[np.float64], order: int) -> NDArray[np.float64]:
    """Return the Lanczos kernel at distances [pixel]."""
    weight = np.sinc(distance) * np.sinc(distance / order)
    weight[np.abs(distance) >= order] = 0
    kernel: NDArray[np.float64] = weight
    return kernel


def normalised_weights(phase: NDArray[np.float64], order: int) -> NDArray[np.float64]:
    """Return the weights of the 2 * order pixels around positions, whose sums are 1.

    Parameters
    ----------
    phase : ndarray of float64, shape (n,)
        Positions beyond the pixel number ``order - 1`` of 2 * order, 0 to 1 [pixel].
    order : int

    Returns
    -------
    ndarray of float64, shape (n, 2 * order)
    """
    offset = phase[:, np.newaxis] + order - 1
    weights = lanczos(offset - np.arange(2 * order), order)
    normalised: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    return normalised


@cache
def weight_polynomials(order: int) -> NDArray[np.float32]:
    """Return the coefficients of the weights of the 2 * order pixels around a position.

    Returns
    -------
    ndarray of float32, shape (10, 2 * order)
        Those of the powers 0 to 9 of the phase - 1/2, a column for each pixel. See
        `normalised_weights`.
    """
    node = np.cos(np.pi * (np.arange(_NODES) + 0.5) / _NODES)  # from -1 to 1
    fitted = chebyshev.chebfit(node, normalised_weights((node + 1) / 2, order), DEGREE)
    powers = np.array([chebyshev.cheb2poly(column) for column in fitted.T]).T
    scale = 2.0 ** np.arange(DEGREE + 1)[:, np.newaxis]
    return read_only(np.asarray(powers * scale, np.float32))


@inlined
def weigh(
    polynomials: NDArray[np.float32],
    phase: float,
    taps: tuple[int, ...],
    weights: NDArray[np.float32],
) -> None:
    """Fill the weights of the pixels around a position.

    Only the length of ``taps`` counts: the compiler knows it, and unrolls the
    loop over the kernel.
    """
    u = Float(phase - 0.5)
    for k in range(len(taps)):
        weight = polynomials[DEGREE, k]
        for power in range(DEGREE - 1, -1, -1):
            weight = weight * u + polynomials[power, k]
        weights[k] = weight
