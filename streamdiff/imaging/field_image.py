"""Smooth functions of the position, on all pixels of an image."""

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from streamdiff.model.field import field_order


def field_image(
    coefficients: NDArray[np.float64], shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Return a polynomial on the pixels of an image; shape (ny, nx).

    Parameters
    ----------
    coefficients : ndarray of float64, shape (n_terms,)
        Of the terms of `streamdiff.model.field.field_terms`.
    shape : tuple of int
        (ny, nx).
    """
    order = field_order(len(coefficients))
    matrix = np.zeros((order + 1, order + 1))
    for total in range(order + 1):
        for v in range(total + 1):
            matrix[v, total - v] = coefficients[total * (total + 1) // 2 + v]
    # A product of small matrices: the terms need not be kept for every pixel.
    t_v, t_u = (
        chebyshev.chebvander(2 * np.arange(n) / max(n - 1, 1) - 1, order) for n in shape
    )
    image: NDArray[np.float32] = (t_v @ matrix).astype(np.float32) @ t_u.T.astype(
        np.float32
    )
    return image
