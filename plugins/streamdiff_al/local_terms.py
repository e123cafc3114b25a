"""What varies over the image, as it is within the square of one candidate: planes.

The products of all pixels are then sums over three planes for each basis kernel,
whatever the order. Terms are planes but for (side of the square / image)^2.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from streamdiff.model.planes import read_only


@cache
def planes_within(side: int) -> NDArray[np.float64]:
    """Return 1, and x and y from the middle of a square; shape (3, side, side)."""
    y, x = np.indices((side, side)) - side // 2
    return read_only(np.array([np.ones((side, side)), x, y]))


def expanded(
    matrices: Sequence[NDArray[np.float64]],
    vectors: NDArray[np.float64],
    planes: NDArray[np.float64],
    n_basis: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the sums over candidates, basis kernels times planes put as terms.

    Parameters
    ----------
    matrices : sequence of ndarray of float64, shape (q, q)
        Of each candidate; of q rows the first 3 n_basis are those of the kernels times
        each plane, the others are the same for all candidates.
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
    rest = np.array([matrix[:, first:] for matrix in matrices])
    mixed = rest[:, :first].reshape(n, n_basis, 3, -1)
    beside = np.einsum("ntp,nbpg->btg", planes, mixed, optimize=True)
    own = np.einsum(
        "ntp,nbp->bt", planes, vectors[:, :first].reshape(n, n_basis, 3), optimize=True
    )
    matrix = np.empty((n_kernel + rest.shape[2],) * 2)
    matrix[:n_kernel, :n_kernel] = _of_kernel(matrices, planes, n_basis)
    matrix[:n_kernel, n_kernel:] = beside.reshape(n_kernel, -1)
    matrix[n_kernel:, :n_kernel] = matrix[:n_kernel, n_kernel:].T
    matrix[n_kernel:, n_kernel:] = rest[:, first:].sum(axis=0)
    return matrix, np.concatenate([own.ravel(), vectors[:, first:].sum(axis=0)])


def _of_kernel(
    matrices: Sequence[NDArray[np.float64]],
    planes: NDArray[np.float64],
    n_basis: int,
) -> NDArray[np.float64]:
    """Return the part of the matrix that is the kernel's.

    Its sums are those of products: of two kernels, two planes, two terms. In each pair
    the order does not matter, and each is summed once.
    """
    n, n_terms, _ = planes.shape
    kernel, other = np.triu_indices(n_basis)
    plane, beside = (numbers[:, np.newaxis] for numbers in np.triu_indices(3))
    term, after = np.triu_indices(n_terms)
    rows, columns = 3 * kernel + plane, 3 * other + beside
    products = np.array([matrix[rows, columns] for matrix in matrices])
    weights = planes[:, term, plane] * planes[:, after, beside]
    swapped = planes[:, term, beside] * planes[:, after, plane]
    weights += np.where(plane == beside, 0, swapped)
    sums = products.reshape(6 * n, -1).T @ weights.reshape(6 * n, -1)
    kernels, terms = _pair_numbers(n_basis), _pair_numbers(n_terms)
    # In the order of parameters, the terms of a kernel are side by side.
    of_kernel = sums[kernels[:, np.newaxis, :, np.newaxis], terms[:, np.newaxis]]
    return of_kernel.reshape(n_basis * n_terms, -1)


def _pair_numbers(size: int) -> NDArray[np.intp]:
    """Return the numbers that pairs have in `np.triu_indices`, in whatever order."""
    numbers = np.zeros((size, size), np.intp)
    first, second = np.triu_indices(size)
    numbers[first, second] = numbers[second, first] = np.arange(len(first))
    return numbers


def as_planes(terms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values and slopes along x and y in the middle; shape (n_terms, 3).

    Parameters
    ----------
    terms : ndarray of float64, shape (n_terms, m, m)
    """
    middle = terms.shape[-1] // 2
    around = slice(middle - 1, middle + 2)
    along_x, along_y = terms[..., middle, around], terms[..., around, middle]
    planes = np.empty((*along_x.shape[:-1], 3))
    planes[..., 0] = along_x[..., 1]
    planes[..., 1] = (along_x[..., 2] - along_x[..., 0]) / 2
    planes[..., 2] = (along_y[..., 2] - along_y[..., 0]) / 2
    return planes
