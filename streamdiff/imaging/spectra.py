"""Products of the spectra of blocks with sums of those of kernels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.compiled import compiled

# Frequencies that are done together, so that all of them stay in the cache.
_TOGETHER = 512


def times_sums(
    spectra: NDArray[np.complex64],
    weights: NDArray[np.float32],
    parts: NDArray[np.complex64],
) -> NDArray[np.complex64]:
    """Return spectra times weighted sums of the parts of kernels.

    Parameters
    ----------
    spectra : ndarray of complex64, shape (n, ky, kx)
        Of blocks.
    weights : ndarray of float32, shape (n, m, k)
        Of the k parts in each of the m kernels of a block.
    parts : ndarray of complex64, shape (k, ky, kx)

    Returns
    -------
    ndarray of complex64, shape (n, m, ky, kx)
    """
    n, m, k = weights.shape
    products = np.empty((n, m, *spectra.shape[1:]), np.complex64)
    _multiply(
        _pairs(spectra, n),
        np.ascontiguousarray(weights),
        _pairs(parts, k),
        np.empty(2 * _TOGETHER, np.float32),
        products.view(np.float32).reshape(n, m, -1),
    )
    return products


def _pairs(spectra: NDArray[Any], n: int) -> NDArray[np.float32]:
    """Return complex numbers as pairs of real ones."""
    return np.ascontiguousarray(spectra).view(np.float32).reshape(n, -1)


@compiled
def _multiply(
    spectra: NDArray[np.float32],
    weights: NDArray[np.float32],
    parts: NDArray[np.float32],
    kernel: NDArray[np.float32],
    products: NDArray[np.float32],
) -> None:
    """Fill in the products; ``kernel`` is room for some frequencies of one."""
    n, m, k = weights.shape
    for first in range(0, parts.shape[1], kernel.size):
        last = min(first + kernel.size, parts.shape[1])
        total = kernel[: last - first]
        for i in range(n):
            given = spectra[i, first:last]
            for j in range(m):
                total[:] = 0
                for part in range(k):
                    weight, values = weights[i, j, part], parts[part, first:last]
                    for x in range(total.size):
                        total[x] += weight * values[x]
                product = products[i, j, first:last]
                for x in range(0, total.size, 2):
                    real, imaginary = given[x], given[x + 1]
                    product[x] = real * total[x] - imaginary * total[x + 1]
                    product[x + 1] = real * total[x + 1] + imaginary * total[x]
