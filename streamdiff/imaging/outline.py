"""The outline of the pixels of a set."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

from streamdiff.model import Area

# So far does an area reach beyond the centres of its pixels; vertices that stand out
# less are left out [pixel].
_MARGIN, _TOLERANCE = 0.05, 0.03


def convex_hull(plane: NDArray[np.bool_]) -> Area | None:
    """Return the smallest convex area around the centres of the True pixels.

    Parameters
    ----------
    plane : ndarray of bool, shape (ny, nx)

    Returns
    -------
    Area or None
        `None` around nothing. No other pixel of an image has its centre there if the
        True ones are all those of a convex figure, but for some within a twentieth
        of a pixel of it.
    """
    rows = np.flatnonzero(plane.any(axis=1))
    if not rows.size:
        return None
    first = plane[rows].argmax(axis=1)
    last = plane.shape[1] - 1 - plane[rows, ::-1].argmax(axis=1)
    corners = np.array(
        [
            (column + side, rows + above)
            for column, side in ((first, -_MARGIN), (last, _MARGIN))
            for above in (-_MARGIN, _MARGIN)
        ]
    )
    points = corners.transpose(0, 2, 1).reshape(-1, 2)
    vertices = _simplified(points[ConvexHull(points).vertices])
    return Area(tuple((float(x), float(y)) for x, y in vertices))


def count_areas(areas: Sequence[Area], shape: tuple[int, int]) -> NDArray[np.int32]:
    """Return in how many areas each pixel of an image of a shape (ny, nx) lies."""
    height, width = shape
    changes = np.zeros((height, width + 1), np.int32)
    rows = np.arange(height)
    for area in areas:
        first, last = area.columns(rows)
        # Beyond the ends of an area the first column lies behind the last.
        first = np.clip(np.ceil(first), 0, width).astype(int)
        after = np.clip(np.floor(last) + 1, first, width).astype(int)
        changes[rows, first] += 1
        changes[rows, after] -= 1
    counts: NDArray[np.int32] = np.cumsum(changes, axis=1, dtype=np.int32)[:, :-1]
    return counts


def _simplified(vertices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the vertices that stand out of the line between their neighbours."""
    while len(vertices) > 3:
        before, after = (np.roll(vertices, shift, axis=0) for shift in (1, -1))
        chord, arm = after - before, vertices - before
        height = np.abs(chord[:, 0] * arm[:, 1] - chord[:, 1] * arm[:, 0])
        height /= np.hypot(*chord.T)
        least = height.argmin()
        if height[least] > _TOLERANCE:
            break
        vertices = np.delete(vertices, least, axis=0)
    return vertices
