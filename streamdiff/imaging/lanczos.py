"""The Lanczos kernel, and its weights for compiled loops.

Duchon 1979, J. Appl. Meteorol. 18, 1016: the sinc that interpolates band-limited
data without loss, tapered by the main lobe of a wider sinc to ``order`` pixels on
either side.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.compiled import inlined
from streamdiff.model.planes import read_only

# Phases of the tabulated kernel. Linear interpolation between them errs by
# max|L''| / (8 * 1024^2) < 1e-6, below the precision of float32 pixels.
PHASES = 1024

Float = np.float32


def lanczos(distance: NDArray[np.float64], order: int) -> NDArray[np.float64]:
    """Return the Lanczos kernel at distances [pixel]."""
    weight = np.sinc(distance) * np.sinc(distance / order)
    weight[np.abs(distance) >= order] = 0
    kernel: NDArray[np.float64] = weight
    return kernel


@cache
def weight_table(order: int) -> NDArray[np.float32]:
    """Return weights of the 2 * order pixels around positions; each row sums to 1.

    Row i is for positions i / `PHASES` of a pixel beyond the pixel number
    ``order - 1`` of the row.
    """
    phase = np.arange(PHASES + 2)[:, np.newaxis] / PHASES
    weights = lanczos(phase + order - 1 - np.arange(2 * order), order)
    total = weights.sum(axis=1, keepdims=True)
    return read_only(np.asarray(weights / total, np.float32))


@inlined
def weigh(
    table: NDArray[np.float32],
    fraction: float,
    taps: tuple[int, ...],
    weights: NDArray[np.float32],
) -> None:
    """Fill the weights of the pixels around a position, from the table.

    Only the length of ``taps`` counts: the compiler knows it, and unrolls the
    loop over the kernel.
    """
    phase = fraction * PHASES
    # No index can be negative: the compiler is to know it.
    i = np.uintp(phase)
    f = Float(phase - int(phase))
    for k in range(len(taps)):
        low, high = table[i, np.uintp(k)], table[i + np.uintp(1), np.uintp(k)]
        weights[k] = low + f * (high - low)
