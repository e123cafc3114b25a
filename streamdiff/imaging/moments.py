"""Adaptive Gaussian moments of many sources at once.

Bernstein & Jarvis 2002, AJ 123, 583: the weight is the elliptical Gaussian that
has twice the second moments it measures, which is the best-fitting Gaussian.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.stamps import nearest_pixels, pixels_around

# Each iteration halves the distance to the fixed point, for a Gaussian: what is left
# is as large as the last change, over the sum of both moments.
_ITERATIONS, _CONVERGED = 10, 1e-4
# Their stamps fit into the cache.
_SOURCES_AT_ONCE = 256
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
    terms = _terms(radius)
    start = np.full((3, len(x)), sigma**2) * [[1], [0], [1]]
    shape = np.stack([x - column, y - row, *start])
    moving = np.arange(len(x))
    for _ in range(_ITERATIONS):
        before = shape[:, moving]
        after = _refined(values[moving], terms, before, radius)
        shape[:, moving] = after
        limit = _CONVERGED * (after[2] + after[4])
        moving = moving[np.abs(after - before).max(axis=0) > limit]
        if not moving.size:
            break

    weight = _gaussian(terms, *shape)
    total = (weight * values).sum(axis=1)
    error = np.sqrt((weight**2 * noise).sum(axis=1))
    return Moments(
        x=column + shape[0],
        y=row + shape[1],
        xx=shape[2],
        xy=shape[3],
        yy=shape[4],
        flux=2 * total,
        snr=np.maximum(total / np.maximum(error, np.finfo(float).tiny), 0),
    )


def _terms(radius: int) -> NDArray[np.float64]:
    """Return 1, u, v, u**2, uv and v**2 of the pixels of stamps, shape (6, side**2)."""
    v, u = np.mgrid[-radius : radius + 1, -radius : radius + 1].reshape(2, -1) * 1.0
    return np.stack([np.ones_like(u), u, v, u * u, u * v, v * v])


def _refined(
    values: NDArray[np.float64],
    terms: NDArray[np.float64],
    shape: NDArray[np.float64],
    radius: int,
) -> NDArray[np.float64]:
    """Return the next x, y, xx, xy and yy, shape (5, n)."""
    weighted = _gaussian(terms, *shape)
    weighted *= values
    total, *sums = (weighted @ terms.T).T
    scale = np.divide(1, total, out=np.zeros_like(total), where=total > 0)
    u, v, uu, uv, vv = (s * scale for s in sums)
    xx, xy, yy = 2 * (uu - u * u), 2 * (uv - u * v), 2 * (vv - v * v)
    # The centroid under the weight is half way to that of the source.
    cx, cy = (
        np.clip(np.where(scale > 0, 2 * m - c, c), -radius, radius)
        for m, c in zip((u, v), shape[:2], strict=True)
    )
    return np.stack([cx, cy, *_positive(xx, xy, yy, radius**2)])


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
    terms: NDArray[np.float64],
    cx: NDArray[np.float64],
    cy: NDArray[np.float64],
    xx: NDArray[np.float64],
    xy: NDArray[np.float64],
    yy: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return Gaussians of peak 1, shape (n, side**2)."""
    a, b, c = np.stack([yy, -xy, xx]) / (xx * yy - xy**2)
    # The exponent is a polynomial of the pixel: a product of matrices makes it.
    quadratic = [
        a * cx * cx + 2 * b * cx * cy + c * cy * cy,
        -2 * (a * cx + b * cy),
        -2 * (b * cx + c * cy),
        a,
        2 * b,
        c,
    ]
    exponent = -0.5 * np.stack(quadratic, axis=1) @ terms
    weight: NDArray[np.float64] = np.exp(exponent, out=exponent)
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
