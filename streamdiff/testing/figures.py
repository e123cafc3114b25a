"""Figures of merit of a difference: honest variance, white noise, gone stars."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamdiff.model import UNUSABLE, Difference
from streamdiff.model.psf import nearest_pixel

# Half the side of the square around a star whose residual is judged [pixel].
_HALF = 4


def noise_ratio(difference: Difference, blank: NDArray[np.bool_]) -> float:
    """Return the standard deviation of image over sigma; 1 for an honest variance.

    Parameters
    ----------
    difference : Difference
    blank : ndarray of bool, shape (ny, nx)
        Where nothing but noise is. A megapixel knows the result to 0.07 %.
    """
    pulls = difference.image[blank] / np.sqrt(difference.variance[blank])
    return float(pulls.std(dtype=float))


def autocorrelation(
    difference: Difference, blank: NDArray[np.bool_], n_lags: int
) -> NDArray[np.float64]:
    """Return the correlation of pixels 1 to ``n_lags`` apart; shape (2, n_lags).

    The first row is along x, the second along y; all pairs count whose two pixels
    are blank. N pairs know it to 1 / sqrt(N).
    """
    pulls = np.where(blank, difference.image / np.sqrt(difference.variance), 0.0)
    pulls = np.where(blank, pulls - pulls[blank].mean(), 0.0)
    power = np.square(pulls[blank]).mean()
    return np.array(
        [
            [_covariance(p, b, lag) / power for lag in range(1, n_lags + 1)]
            for p, b in ((pulls, blank), (pulls.T, blank.T))
        ]
    )


def star_residuals(
    difference: Difference, x: ArrayLike, y: ArrayLike
) -> NDArray[np.float64]:
    """Return the root mean square of image over sigma around stars; shape (n,).

    Parameters
    ----------
    difference : Difference
    x, y : array_like of float, shape (n,)
        Positions of stars that did not change [pixel]. The result is NaN where
        the 9 x 9 px around one are not all usable.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        pulls = difference.image / np.sqrt(difference.variance)
    pulls = np.where(UNUSABLE.in_mask(difference.mask), np.nan, pulls)
    padded = np.pad(pulls, _HALF, constant_values=np.nan)
    height, width = pulls.shape
    residuals = np.full(np.size(x), np.nan)
    for i, position in enumerate(zip(np.ravel(x), np.ravel(y), strict=True)):
        column, row = nearest_pixel(*position)
        if 0 <= column < width and 0 <= row < height:
            square = padded[row : row + 2 * _HALF + 1, column : column + 2 * _HALF + 1]
            residuals[i] = np.sqrt(np.square(square, dtype=float).mean())
    return residuals


def _covariance(
    pulls: NDArray[np.float64], blank: NDArray[np.bool_], lag: int
) -> float:
    both = blank[:, lag:] & blank[:, :-lag]
    return float((pulls[:, lag:] * pulls[:, :-lag])[both].mean())
