"""Random places of an image that nothing is near."""

import numpy as np
from numpy.typing import NDArray

# So many places are tried for each that is wanted.
_ATTEMPTS = 5


def empty_places(
    occupied: NDArray[np.bool_], n: int, *, radius: float, seed: tuple[int, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return random positions x, y whose discs hold no occupied pixel.

    Parameters
    ----------
    occupied : ndarray of bool, shape (ny, nx)
    n : int
        So many at the most: a crowded image has fewer.
    radius : float
        Of the discs [pixel]. They lie within the image and do not overlap.
    seed : tuple of int
        Another seed gives other positions.
    """
    height, width = occupied.shape
    low, high = np.array([radius, radius]), np.array([width, height]) - 1 - radius
    if n < 1 or (high < low).any():
        return np.zeros(0), np.zeros(0)
    tried = np.random.default_rng(seed).uniform(low, high, (_ATTEMPTS * n, 2))
    free = tried[~_touches(occupied, tried, radius)]
    chosen: list[int] = []
    for i, place in enumerate(free):
        apart = np.hypot(*(free[chosen] - place).T) >= 2 * radius
        if apart.all():
            chosen.append(i)
        if len(chosen) == n:
            break
    x, y = free[chosen].T
    return x, y


def _touches(
    occupied: NDArray[np.bool_], places: NDArray[np.float64], radius: float
) -> NDArray[np.bool_]:
    """Return True for discs around places that hold an occupied pixel."""
    reach = int(radius) + 1
    offset = np.arange(-reach, reach + 1)
    middle = np.rint(places).astype(int)
    column = middle[:, 0, np.newaxis, np.newaxis] + offset
    row = middle[:, 1, np.newaxis, np.newaxis] + offset[:, np.newaxis]
    x, y = places.T[:, :, np.newaxis, np.newaxis]
    inside = np.hypot(column - x, row - y) <= radius
    height, width = occupied.shape
    seen = occupied[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
    touches: NDArray[np.bool_] = (inside & seen).any(axis=(1, 2))
    return touches
