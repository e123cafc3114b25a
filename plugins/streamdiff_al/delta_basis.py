"""Basis kernels of free pixels: one delta function each."""

import numpy as np
from numpy.typing import NDArray


def delta_basis(size: int) -> NDArray[np.float64]:
    """Return delta functions; shape (size * size, size, size).

    Parameters
    ----------
    size : int
        Odd side of the kernels.

    Notes
    -----
    The first is the delta function at the centre, and sums to 1. The others are
    those of all other pixels less the first, and sum to 0: they span the same
    kernels, and the coefficient of the first is the sum of the kernel, as it is for
    `streamdiff_al.basis.alard_lupton_basis`.
    """
    if size % 2 == 0:
        raise ValueError(f"kernels must have odd sides, got {size}")
    deltas = np.eye(size**2).reshape(-1, size, size)
    middle = size**2 // 2
    others = np.delete(deltas, middle, axis=0) - deltas[middle]
    return np.concatenate([deltas[middle : middle + 1], others])
