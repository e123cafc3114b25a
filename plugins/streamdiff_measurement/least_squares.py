"""Linear least squares of many small problems at once.

Pixels weigh the same whatever their variance, as in
`streamdiff.imaging.point_source`; errors are propagated from the variance.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Less than this of a term is its own: the others can stand for it.
_SINGULAR = 1e-10


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Solution:
    """Fits of p terms to m pixels each; n of each.

    Attributes
    ----------
    coefficients : ndarray of float64, shape (n, p)
        NaN where the terms are not independent.
    covariance : ndarray of float64, shape (n, p, p)
    residual : ndarray of float64, shape (n,)
        Sum of squares that is left.
    """

    coefficients: NDArray[np.float64]
    covariance: NDArray[np.float64]
    residual: NDArray[np.float64]


def solve(
    design: NDArray[np.float64],
    values: NDArray[np.float64],
    variance: NDArray[np.float64],
) -> Solution:
    """Return the fits of terms to values.

    Parameters
    ----------
    design : ndarray of float64, shape (n, p, m)
        The terms; 0 where pixels are not usable.
    values, variance : ndarray of float64, shape (n, m)
    """
    inverse = inverses(design @ design.swapaxes(1, 2))
    coefficients = (inverse @ (design @ values[:, :, np.newaxis]))[..., 0]
    noise = (design * variance[:, np.newaxis]) @ design.swapaxes(1, 2)
    model = (coefficients[:, np.newaxis] @ design)[:, 0]
    return Solution(
        coefficients=coefficients,
        covariance=inverse @ noise @ inverse,
        residual=np.sum((values - model) ** 2, axis=1),
    )


def inverses(normal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return inverses of normal matrices, shape (n, p, p); NaN for singular ones."""
    scale = np.sqrt(np.einsum("nii->ni", normal))
    scale = np.where(scale > 0, scale, np.nan)
    outer = scale[:, :, np.newaxis] * scale[:, np.newaxis]
    scaled = normal / outer
    regular = np.isfinite(scaled).all(axis=(1, 2))
    regular[regular] &= np.linalg.eigvalsh(scaled[regular])[:, 0] > _SINGULAR
    inverse: NDArray[np.float64] = np.full_like(scaled, np.nan)
    inverse[regular] = np.linalg.inv(scaled[regular])
    inverse /= outer
    return inverse
