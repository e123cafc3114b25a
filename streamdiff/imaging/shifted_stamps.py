"""Stamps moved by fractions of a pixel, and their derivatives by the shift."""

from math import cos, pi, sin

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.compiled import compiled, inlined

# Closer to 0 than this, derivatives of sinc are series: rounding would tell.
_SERIES = 1e-3


def shifted_with_derivatives(
    stamps: NDArray[np.float64], shift: NDArray[np.float64], *, order: int
) -> NDArray[np.float64]:
    """Return shifted stamps and all their derivatives up to an order.

    Parameters
    ----------
    stamps : ndarray of float64, shape (n, ky, kx) or (1, ky, kx)
        Well-sampled profiles that fade to 0 at their borders; one stands for all.
    shift : ndarray of float64, shape (n, 2) or (1, 2)
        To larger columns and rows [pixel]; one stands for all.
    order : int
        0, 1 or 2.

    Returns
    -------
    ndarray of float64, shape (n, n_terms, ky, kx)
        The stamps; of order 1, their derivatives by x and y; of order 2, those by
        xx, xy and yy.

    Notes
    -----
    Sinc interpolation along each axis, as `streamdiff.model.psf.shift_matrix`.
    """
    (ky, kx), n_orders = stamps.shape[1:], order + 1
    to_x = np.empty((len(shift), n_orders, kx, kx))
    to_y = np.empty((len(shift), n_orders, ky, ky))
    along_x, along_y = np.ascontiguousarray(shift.T)
    # Transposed, a shift is one the other way.
    _fill_matrices(-along_x, -1.0, to_x)
    _fill_matrices(along_y, 1.0, to_y)
    moved = to_y.reshape(-1, n_orders * ky, ky) @ stamps
    moved = moved.reshape(-1, n_orders, ky, kx)
    orders = [(t - by_y, by_y) for t in range(n_orders) for by_y in range(t + 1)]
    terms = np.empty((len(moved), len(orders), ky, kx))
    for term, (by_x, by_y) in enumerate(orders):
        np.matmul(moved[:, by_y], to_x[:, by_x], out=terms[:, term])
    return terms


@compiled
def _fill_matrices(
    shift: NDArray[np.float64], sign: float, matrices: NDArray[np.float64]
) -> None:
    """Fill in matrices that shift, and their derivatives by sign times the shift.

    Their shape is (n, order + 1, size, size).
    """
    n, n_orders, size, _ = matrices.shape
    profile = np.empty((3, 2 * size - 1))
    for i in range(n):
        _fill_profiles(shift[i], sign, profile)
        for k in range(n_orders):
            for row in range(size):
                for column in range(size):
                    matrices[i, k, row, column] = profile[k, row - column + size - 1]


@inlined
def _fill_profiles(shift: float, sign: float, profiles: NDArray[np.float64]) -> None:
    """Fill in sinc and its first two derivatives, from 1 - size to size - 1."""
    n = profiles.shape[1]
    # From one pixel to the next, waves only change their signs.
    parity = 1 if n // 2 % 2 else -1
    wave, height = parity * sin(pi * shift), -parity * cos(pi * shift)
    for i in range(n):
        u = i - n // 2 - shift
        if abs(u) < _SERIES:
            value = 1 - (pi * u) ** 2 / 6
            slope = -(pi**2) * u / 3
            bend = -(pi**2) / 3 + pi**4 * u**2 / 10
        else:
            value = wave / (pi * u)
            slope = (height - value) / u
            bend = (-pi * wave - 2 * slope) / u
        profiles[0, i], profiles[1, i], profiles[2, i] = value, -sign * slope, bend
        wave, height = -wave, -height
