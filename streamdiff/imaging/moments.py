"""Adaptive Gaussian moments of many sources at once.

Bernstein & Jarvis 2002, AJ 123, 583: the weight is the elliptical Gaussian that
has twice the second moments it measures, which is the best-fitting Gaussian.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.compiled import compiled
from streamdiff.imaging.gaussian_fit import fit_gaussians
from streamdiff.imaging.stamps import nearest_pixels

# Their stamps fit into the cache.
_SOURCES_AT_ONCE = 256


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Moments:
    """Best-fitting Gaussians; every attribute is float64 of shape (n,).

    Attributes
    ----------
    x, y
        Centroids [pixel].
    xx, xy, yy
        Central second moments [pixel**2].
    flux
        Flux of the Gaussian.
    snr
        Flux over its error.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    xx: NDArray[np.float64]
    xy: NDArray[np.float64]
    yy: NDArray[np.float64]
    flux: NDArray[np.float64]
    snr: NDArray[np.float64]


def adaptive_moments(
    image: NDArray[np.float32],
    variance: NDArray[np.float32],
    unusable: NDArray[np.bool_],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    *,
    sigma: float,
    radius: int,
) -> Moments:
    """Return the Gaussians that fit best to the sources near positions.

    Parameters
    ----------
    image, variance : ndarray of float32, shape (ny, nx)
        Finite everywhere.
    unusable : ndarray of bool, shape (ny, nx)
        True where pixels have no data; the pixel on the other side of the
        source stands in for them, as it does beyond the border.
    x, y : ndarray of float64, shape (n,)
        First guesses, within the image.
    sigma : float
        First guess of the width [pixel].
    radius : int
        Half the side of the square of pixels that is looked at.

    Notes
    -----
    A source that has no flux, or no size, ends with a signal-to-noise ratio of 0.
    """
    side = 2 * radius + 1
    column, row = nearest_pixels(x, y)
    offset = np.stack([x - column, y - row], axis=1)
    parts = []
    for start in range(0, max(len(x), 1), _SOURCES_AT_ONCE):
        few = slice(start, start + _SOURCES_AT_ONCE)
        stamps = np.zeros((2, len(offset[few]), side, side))
        usable = np.zeros(stamps.shape[1:], np.bool_)
        corners = row[few] - radius, column[few] - radius
        _cut(image, variance, unusable, corners, stamps, usable)
        parts.append(
            moments_of_stamps(stamps[0], stamps[1], usable, offset[few], sigma=sigma)
        )
    found = {
        name: np.concatenate([getattr(p, name) for p in parts])
        for name in Moments.__slots__
    }
    return Moments(**found | {"x": found["x"] + column, "y": found["y"] + row})


def moments_of_stamps(
    image: NDArray[np.floating[Any]],
    variance: NDArray[np.floating[Any]],
    usable: NDArray[np.bool_],
    offset: NDArray[np.float64],
    *,
    sigma: float,
) -> Moments:
    """Return the Gaussians that fit best to what is on stamps.

    Parameters
    ----------
    image, variance : ndarray, shape (n, side, side)
        Finite where usable.
    usable : ndarray of bool, shape (n, side, side)
        The pixel on the other side of the middle stands in for one that is not.
    offset : ndarray of float64, shape (n, 2)
        First guesses of column and row, from the middle pixel. So are the centroids
        that are returned.
    sigma : float
        First guess of the width [pixel].
    """
    found = np.empty((len(image), len(Moments.__slots__)))
    # Of one type, so that they are compiled once.
    values, noise = np.asarray(image, float), np.asarray(variance, float)
    fit_gaussians(values, noise, usable, offset, sigma, found)
    return Moments(**dict(zip(Moments.__slots__, found.T, strict=True)))


@compiled
def _cut(
    image: NDArray[np.float32],
    variance: NDArray[np.float32],
    unusable: NDArray[np.bool_],
    corners: tuple[NDArray[np.intp], NDArray[np.intp]],
    stamps: NDArray[np.float64],
    usable: NDArray[np.bool_],
) -> None:
    """Fill in what stamps show from their corners (row, column) on."""
    height, width = image.shape
    n, side, _ = usable.shape
    for i in range(n):
        top, left = corners[0][i], corners[1][i]
        for y in range(max(top, 0), min(top + side, height)):
            for x in range(max(left, 0), min(left + side, width)):
                stamps[0, i, y - top, x - left] = image[y, x]
                stamps[1, i, y - top, x - left] = variance[y, x]
                usable[i, y - top, x - left] = not unusable[y, x]
