"""The part of an image's plane that something covers."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Area:
    """A convex polygon.

    Attributes
    ----------
    vertices : tuple of (float, float)
        Positions (x, y) [pixel], at least three, in the sense from +x to +y.

    Raises
    ------
    ValueError
        If they are too few, or not finite.
    """

    vertices: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        if len(self.vertices) < 3 or not np.isfinite(self.vertices).all():
            raise ValueError(
                f"an area needs three or more finite vertices, got {self.vertices}"
            )

    def beyond(self, x: float, y: float) -> float:
        """Return how far outside a position is; not positive within [pixel].

        It is the distance from the farthest line through an edge, which is the
        distance from the area but beside a vertex.
        """
        one: NDArray[np.float64] = self.beyond_each(np.array([x]), np.array([y]))
        return float(one[0])

    def beyond_each(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return what `beyond` does for positions of shape (n,)."""
        normals, offsets = self._edges
        # not a product of matrices: what is on an edge must not depend on the others
        across, up = normals.T[:, :, np.newaxis]
        distances = across * x + up * y - offsets[:, np.newaxis]
        farthest: NDArray[np.float64] = distances.max(axis=0)
        return farthest

    def moved(self, dx: float, dy: float) -> Self:
        """Return the area at positions larger by (dx, dy) [pixel]."""
        return type(self)(tuple((x + dx, y + dy) for x, y in self.vertices))

    def columns(
        self, rows: NDArray[np.number]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the first and the last column of the area on every row [pixel].

        On rows that the area does not reach, the first lies behind the last.
        """
        normals, offsets = self._edges
        first = np.full(rows.shape, -np.inf)
        last = np.full(rows.shape, np.inf)
        for (across, up), offset in zip(normals, offsets, strict=True):
            room = offset - up * rows
            if across > 0:
                np.minimum(last, room / across, out=last)
            elif across < 0:
                np.maximum(first, room / across, out=first)
            else:
                last[room < 0] = -np.inf
        return first, last

    def within(
        self, low: tuple[float, float], high: tuple[float, float]
    ) -> Self | None:
        """Return the part between two corners (x, y) of a box; `None` for nothing.

        Sutherland & Hodgman 1974, Commun. ACM 17, 32.
        """
        points = [np.array(vertex) for vertex in self.vertices]
        for axis in (0, 1):
            for sign, limit in ((1, low[axis]), (-1, -high[axis])):
                points = _cut(points, axis, sign, limit)
        if len(points) < 3:
            return None
        return type(self)(tuple((float(x), float(y)) for x, y in points))

    @cached_property
    def _edges(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the outward normals of the edges, and their distances from 0."""
        starts = np.array(self.vertices, float)
        along = np.roll(starts, -1, axis=0) - starts
        along /= np.maximum(np.hypot(*along.T), np.finfo(float).tiny)[:, np.newaxis]
        normals = np.column_stack([along[:, 1], -along[:, 0]])
        return normals, np.einsum("ij,ij->i", normals, starts)


def _cut(
    points: list[NDArray[np.float64]], axis: int, sign: int, limit: float
) -> list[NDArray[np.float64]]:
    """Return the polygon of the points whose signed coordinate is above a limit."""
    room = [sign * float(point[axis]) - limit for point in points]
    kept = []
    for i, (here, point) in enumerate(zip(room, points, strict=True)):
        before = room[i - 1]
        if (before > 0) != (here > 0):
            kept.append(point + (points[i - 1] - point) * here / (here - before))
        if here > 0:
            kept.append(point)
    return kept
