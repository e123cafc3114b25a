"""What varies over the image, as it is within the square of one candidate: planes.

The products of all pixels are then sums over three planes for each basis kernel,
whatever the order. Terms are planes but for (side of the square / image)^2.
"""

import numpy as np
from numpy.typing import NDArray

from streamdiff_al.cutout import Cutout


def times_planes(cutout: Cutout) -> NDArray[np.float64]:
    """Return the convolved images times 1, x and y from the middle; (3 n, m * m)."""
    side = len(cutout.usable)
    steps = np.arange(side) - side // 2.0
    planes = np.array([np.ones((side, side)), *np.meshgrid(steps, steps)])
    products: NDArray[np.float64] = cutout.convolved[:, np.newaxis] * planes
    return products.reshape(-1, side * side)


def expanded(
    matrices: NDArray[np.float64],
    vectors: NDArray[np.float64],
    planes: NDArray[np.float64],
    n_basis: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the sums over candidates, basis kernels times planes put as terms.

    Parameters
    ----------
    matrices : ndarray of float64, shape (n, q, q)
        Of each candidate; of q rows the first 3 n_basis are those of `times_planes`,
        the others are the same for all candidates.
    vectors : ndarray of float64, shape (n, q)
    planes : ndarray of float64, shape (n, n_terms, 3)
        See `as_planes`.
    n_basis : int

    Returns
    -------
    matrix : ndarray of float64, shape (p, p)
    vector : ndarray of float64, shape (p,)
        With n_basis n_terms rows in place of 3 n_basis.
    """
    n, n_terms, _ = planes.shape
    first, n_kernel = 3 * n_basis, n_basis * n_terms
    turned = planes.swapaxes(1, 2)
    pairs = (
        turned[:, :, np.newaxis, :, np.newaxis] * turned[:, np.newaxis, :, np.newaxis]
    )
    squares = matrices[:, :first, :first].reshape(n, n_basis, 3, n_basis, 3)
    of_kernel = squares.transpose(1, 3, 0, 2, 4).reshape(-1, 9 * n)
    of_kernel = of_kernel @ pairs.reshape(9 * n, -1)
    by_term = of_kernel.reshape(n_basis, n_basis, n_terms, n_terms).swapaxes(1, 2)
    mixed = matrices[:, :first, first:].reshape(n, n_basis, 3, -1)
    beside = np.einsum("ntp,nbpg->btg", planes, mixed, optimize=True)
    own = np.einsum(
        "ntp,nbp->bt", planes, vectors[:, :first].reshape(n, n_basis, 3), optimize=True
    )
    matrix = np.empty((n_kernel + matrices.shape[1] - first,) * 2)
    matrix[:n_kernel, :n_kernel] = by_term.reshape(n_kernel, -1)
    matrix[:n_kernel, n_kernel:] = beside.reshape(n_kernel, -1)
    matrix[n_kernel:, :n_kernel] = matrix[:n_kernel, n_kernel:].T
    matrix[n_kernel:, n_kernel:] = matrices[:, first:, first:].sum(axis=0)
    return matrix, np.concatenate([own.ravel(), vectors[:, first:].sum(axis=0)])


def as_planes(terms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values and slopes along x and y in the middle; shape (n_terms, 3).

    Parameters
    ----------
    terms : ndarray of float64, shape (n_terms, m, m)
    """
    middle = terms.shape[-1] // 2
    along_x, along_y = terms[:, middle], terms[:, :, middle]
    slopes = (
        (line[:, middle + 1] - line[:, middle - 1]) / 2 for line in (along_x, along_y)
    )
    return np.stack([along_x[:, middle], *slopes], axis=1)
