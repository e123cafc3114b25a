"""Smooth functions of the position on an image: Chebyshev polynomials."""

from math import isqrt

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import ArrayLike, NDArray


def n_field_terms(order: int) -> int:
    """Return the number of terms of total degree at most ``order``."""
    return (order + 1) * (order + 2) // 2


def field_order(n_terms: int) -> int:
    """Return the order of a polynomial with so many terms.

    Raises
    ------
    ValueError
        If no order has that number of terms.
    """
    order = (isqrt(8 * n_terms + 1) - 3) // 2
    if n_terms < 1 or n_field_terms(order) != n_terms:
        raise ValueError(f"no polynomial of two variables has {n_terms} terms")
    return order


def field_terms(
    x: ArrayLike, y: ArrayLike, order: int, image_shape: tuple[int, int]
) -> NDArray[np.float64]:
    """Return the Chebyshev terms T_i(u) T_j(v), i + j <= order, at positions.

    Parameters
    ----------
    x, y : array_like of float, of one shape or to be broadcast to it
        Positions [pixel].
    order : int
        Largest total degree.
    image_shape : tuple of int
        (height, width): u and v run from -1 to 1 between the centres of the
        first and last columns and rows. They are not clipped.

    Returns
    -------
    ndarray of float64, shape (n_field_terms(order), *shape)
        Ordered by total degree, then by the degree in v; the first is 1.
    """
    height, width = image_shape
    u = 2 * np.asarray(x, float) / max(width - 1, 1) - 1
    v = 2 * np.asarray(y, float) / max(height - 1, 1) - 1
    # NumPy makes an axis of length 1 out of a single number.
    t_u, t_v = (
        np.moveaxis(chebyshev.chebvander(w, order), -1, 0).reshape(order + 1, *w.shape)
        for w in (u, v)
    )
    return np.array(
        [t_u[d - j] * t_v[j] for d in range(order + 1) for j in range(d + 1)]
    )
