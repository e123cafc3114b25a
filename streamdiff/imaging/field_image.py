"""Smooth functions of the position, on all pixels of an image."""

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from streamdiff.model.field import field_order

# Rows that are added together: they stay in the cache.
_STRIP = 64


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
    rows, columns = field_factors(coefficients, shape)
    image: NDArray[np.float32] = rows @ columns
    return image


def add_field(image: NDArray[np.float32], coefficients: NDArray[np.float64]) -> None:
    """Add a polynomial to the pixels of an image, in place; see `field_image`."""
    rows, columns = field_factors(coefficients, image.shape)
    # Strip by strip: no plane of this size is made.
    for first in range(0, len(rows), _STRIP):
        strip = slice(first, first + _STRIP)
        image[strip] += rows[strip] @ columns


def field_factors(
    coefficients: NDArray[np.float64], shape: tuple[int, ...]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return small matrices, (ny, n) and (n, nx), whose product is `field_image`."""
    order = field_order(len(coefficients))
    matrix = np.zeros((order + 1, order + 1))
    for total in range(order + 1):
        for v in range(total + 1):
            matrix[v, total - v] = coefficients[total * (total + 1) // 2 + v]
    t_v, t_u = (
        chebyshev.chebvander(2 * np.arange(n) / max(n - 1, 1) - 1, order) for n in shape
    )
    return (t_v @ matrix).astype(np.float32), t_u.T.astype(np.float32)
