"""What a unit of each parameter adds to each pixel around a candidate."""

import numpy as np
from numpy.typing import NDArray


def design(
    convolved: NDArray[np.float64],
    terms: NDArray[np.float64],
    background: NDArray[np.float64],
    *,
    n_first: int,
) -> NDArray[np.float64]:
    """Return what a unit of each parameter adds to each pixel; (p, m * m).

    Parameters
    ----------
    convolved : ndarray of float64, shape (n_basis, m, m)
    terms, background : ndarray of float64, shape (n, m, m)
        What the coefficients of kernel and background are multiplied by.
    n_first : int
        So many of the terms has the first kernel of the basis.
    """
    *stack, n_basis, m, _ = convolved.shape
    n_terms = terms.shape[-3]
    n_kernel = n_first + (n_basis - 1) * n_terms
    rows = np.empty((*stack, n_kernel + background.shape[-3], m, m))
    np.multiply(
        convolved[..., :1, :, :],
        terms[..., :n_first, :, :],
        out=rows[..., :n_first, :, :],
    )
    np.multiply(
        convolved[..., 1:, np.newaxis, :, :],
        terms[..., np.newaxis, :, :, :],
        out=rows[..., n_first:n_kernel, :, :].reshape(*stack, -1, n_terms, m, m),
    )
    rows[..., n_kernel:, :, :] = background
    return flat(rows)


def flat(images: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return images with their pixels along one axis; shape (..., m * m)."""
    return images.reshape(*images.shape[:-2], -1)
