"""Adaptive Gaussian moments of many sources at once.

Bernstein & Jarvis 2002, AJ 123, 583: the weight is the elliptical Gaussian that
has twice the second moments it measures, which is the best-fitting Gaussian.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.stamps import nearest_pixels, pixels_around

# Each iteration halves the distance to the fixed point, for a Gaussian.
_ITERATIONS = 10
_SOURCES_AT_ONCE = 1024
_MIN_VARIANCE = 0.1


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
    parts = [
        _of_stamps(image, variance, unusable, x[part], y[part], sigma, radius)
        for part in np.split(
            np.arange(len(x)), range(_SOURCES_AT_ONCE, len(x), _SOURCES_AT_ONCE)
        )
    ]
    return Moments(
        **{
            name: np.concatenate([getattr(p, name) for p in parts])
            for name in Moments.__slots__
        }
    )


def _of_stamps(
    image: NDArray[np.float32],
    variance: NDArray[np.float32],
    unusable: NDArray[np.bool_],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    sigma: float,
    radius: int,
) -> Moments:
    column, row = nearest_pixels(x, y)
    values, noise = _stamps(image, variance, unusable, x, y, radius)
    offset_y, offset_x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    v, u = offset_y.reshape(1, -1).astype(float), offset_x.reshape(1, -1).astype(float)

    cx, cy = x - column, y - row
    xx, yy, xy = np.full((3, len(x)), sigma**2) * [[1], [1], [0]]
    for _ in range(_ITERATIONS):
        weight = _gaussian(u, v, cx, cy, xx, xy, yy)
        weighted = weight * values
        total = weighted.sum(axis=1)
        scale = np.divide(1, total, out=np.zeros_like(total), where=total > 0)
        du, dv = u - cx[:, np.newaxis], v - cy[:, np.newaxis]
        mean_u = (weighted * du).sum(axis=1) * scale
        mean_v = (weighted * dv).sum(axis=1) * scale
        xx = 2 * ((weighted * du * du).sum(axis=1) * scale - mean_u**2)
        yy = 2 * ((weighted * dv * dv).sum(axis=1) * scale - mean_v**2)
        xy = 2 * ((weighted * du * dv).sum(axis=1) * scale - mean_u * mean_v)
        cx = np.clip(cx + 2 * mean_u, -radius, radius)
        cy = np.clip(cy + 2 * mean_v, -radius, radius)
        xx, xy, yy = _positive(xx, xy, yy, radius**2)

    weight = _gaussian(u, v, cx, cy, xx, xy, yy)
    total = (weight * values).sum(axis=1)
    error = np.sqrt((weight**2 * noise).sum(axis=1))
    return Moments(
        x=column + cx,
        y=row + cy,
        xx=xx,
        xy=xy,
        yy=yy,
        flux=2 * total,
        snr=np.maximum(total / np.maximum(error, np.finfo(float).tiny), 0),
    )


def _stamps(
    image: NDArray[np.float32],
    variance: NDArray[np.float32],
    unusable: NDArray[np.bool_],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    radius: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return values and variances around positions, shape (n, side**2) each."""
    side = 2 * radius + 1
    ny, nx = image.shape
    pixels, inside = pixels_around((ny, nx), x, y, (side, side))
    missing = ~inside | unusable[pixels]
    opposite = np.s_[:, ::-1, ::-1]
    from_opposite = missing & ~missing[opposite]
    values, noise = (
        np.where(from_opposite, known[opposite], known).reshape(len(x), -1)
        for known in (np.where(missing, 0.0, p[pixels]) for p in (image, variance))
    )
    return values, noise


def _gaussian(
    u: NDArray[np.float64],
    v: NDArray[np.float64],
    cx: NDArray[np.float64],
    cy: NDArray[np.float64],
    xx: NDArray[np.float64],
    xy: NDArray[np.float64],
    yy: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return Gaussians of peak 1, shape (n, side**2)."""
    determinant = xx * yy - xy**2
    a, b, c = (m[:, np.newaxis] / determinant[:, np.newaxis] for m in (yy, xy, xx))
    du, dv = u - cx[:, np.newaxis], v - cy[:, np.newaxis]
    weight: NDArray[np.float64] = np.exp(
        -0.5 * (a * du * du - 2 * b * du * dv + c * dv * dv)
    )
    return weight


def _positive(
    xx: NDArray[np.float64],
    xy: NDArray[np.float64],
    yy: NDArray[np.float64],
    largest: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return second moments made positive definite and at most ``largest``."""
    xx, yy = (np.clip(m, _MIN_VARIANCE, largest) for m in (xx, yy))
    limit = 0.98 * np.sqrt(xx * yy)
    return xx, np.clip(xy, -limit, limit), yy
