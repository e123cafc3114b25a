"""Principal components of the kernels of single candidates, as a basis."""

import numpy as np
from numpy.typing import NDArray

# Components with so little of the variance of the first are rounding errors.
_SMALLEST_SHARE = 1e-12


class NoVariationError(Exception):
    """The kernels of all candidates are the same: they have no components."""


def principal_mixes(
    kernels: NDArray[np.float64],
    weights: NDArray[np.float64],
    basis: NDArray[np.float64],
    n_components: int,
) -> NDArray[np.float64]:
    """Return the mean kernel and the components; shape (<= n_components + 1, n_basis).

    Parameters
    ----------
    kernels : ndarray of float64, shape (n, n_basis)
        Coefficients of the basis for each candidate.
    weights : ndarray of float64, shape (n,)
        How well each is known: inverse variances but for a factor.
    basis : ndarray of float64, shape (n_basis, size, size)
        The first sums to 1, all others to 0.
    n_components : int
        Largest number of components beside the mean.

    Returns
    -------
    ndarray of float64
        Coefficients of the basis. The first kernel, the mean, sums to 1. The
        others sum to 0, and their squares to 1.

    Raises
    ------
    NoVariationError
        If the variances along all components are 0, or no kernel sum is positive.

    Notes
    -----
    Each kernel is divided by its sum. LSST gives them equal weights; but the kernel
    of a faint star of a basis of free pixels is mostly noise.
    """
    used = (kernels[:, 0] > 0) & (weights > 0)
    if not used.any():
        raise NoVariationError("no kernel sum is positive")
    shapes, weights = kernels[used] / kernels[used, :1], weights[used]
    mean = np.average(shapes, axis=0, weights=weights)
    deviations = np.sqrt(weights / weights.sum())[:, np.newaxis] * (shapes - mean)
    left, sigmas, _ = np.linalg.svd(
        deviations @ basis.reshape(len(basis), -1), full_matrices=False
    )
    variances = np.square(sigmas)
    if not variances.sum() > 0:
        raise NoVariationError(f"{len(shapes)} kernels of the same shape")
    kept = np.flatnonzero(variances > _SMALLEST_SHARE * variances[0])[:n_components]
    components = (left[:, kept] / sigmas[kept]).T @ deviations
    return np.concatenate([mean[np.newaxis], components])
