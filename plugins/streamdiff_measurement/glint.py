"""Rows of DiaSources that a tumbling satellite leaves."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import pi
from typing import Annotated, Any, Self

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.special import bdtrc

from streamdiff.model import Column, DiaSources
from streamdiff.stages import Images

_COLUMNS = (
    Column("glint_trail", "?", "", "Whether it is in a row of glints of a satellite"),
)
# A strip that is as narrow as the row tells it best from chance.
_WIDTHS = (0.1, 0.3, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GlintLine:
    """Glints on one line.

    Attributes
    ----------
    members : ndarray of int, shape (n,)
        Which points are on it, in ascending order.
    length : float
        From the first to the last [pixel].
    angle : float
        From +x to +y, in (-90, 90] [degree].
    """

    members: NDArray[np.intp]
    length: float
    angle: float

    @classmethod
    def through(cls, points: NDArray[np.float64], members: NDArray[np.intp]) -> Self:
        """Return the line that fits best to some of the points, shape (n, 2)."""
        offsets = points[members] - points[members].mean(axis=0)
        (x, y), *_ = np.linalg.svd(offsets)[2]
        angle = 90 - (90 - np.degrees(np.arctan2(y, x))) % 180
        length = np.ptp(offsets @ (x, y))
        return cls(members=members, length=float(length), angle=float(angle))


@dataclass(frozen=True, slots=True, kw_only=True)
class Glint:
    """Lines through DiaSources that are no dipoles and not negative.

    Attributes
    ----------
    radius : float
        Farthest DiaSource of a line from one of its middle ones [pixel].
    min_points : int
        Least number of DiaSources on a line.
    max_distance : float
        Farthest DiaSource from a line [pixel].
    max_chance : float
        Number of lines that may be expected, by chance, of as many DiaSources at
        random places.
    max_sources : int
        With more DiaSources than this, an image has failed: none is flagged.

    Notes
    -----
    All lines through pairs are tried: unlike a random choice of them, as in
    RANSAC (Fischler & Bolles 1981), that finds the same ones every time.
    """

    radius: Annotated[float, Gt(0)] = 500.0
    min_points: Annotated[int, Ge(3)] = 5
    max_distance: Annotated[float, Gt(0)] = 15.0
    max_chance: Annotated[float, Gt(0)] = 0.01
    max_sources: Annotated[int, Ge(3)] = 3000

    @property
    def columns(self) -> tuple[Column, ...]:
        """Return the columns that `measure` fills."""
        return _COLUMNS

    def measure(
        self,
        sources: DiaSources,
        images: Images,  # noqa: ARG002 (positions are all)
    ) -> Mapping[str, NDArray[Any]]:
        """Return flags; dipoles are known where they were measured before."""
        counts = ~sources["isNegative"]
        if "isDipole" in sources:
            counts &= ~sources["isDipole"]
        rows = np.flatnonzero(counts)
        flags = np.zeros(len(sources), bool)
        if self.min_points <= rows.size <= self.max_sources:
            points = np.column_stack([sources["x"], sources["y"]])[rows]
            for line in self.lines(points):
                flags[rows[line.members]] = True
        return {"glint_trail": flags}

    def lines(self, points: NDArray[np.float64]) -> list[GlintLine]:
        """Return the lines of glints among points, that with most of them first.

        Parameters
        ----------
        points : ndarray of float64, shape (n, 2)
            Columns and rows [pixel].
        """
        near = KDTree(points).query_ball_point(points, self.radius)
        lines = []
        for middle, around in enumerate(near):
            others = np.array([k for k in around if k != middle], int)
            if others.size + 1 >= self.min_points:
                on_line = self._on_best(points[others] - points[middle], len(points))
                if on_line.any():
                    lines.append(np.append(others[on_line], middle))
        return [GlintLine.through(points, members) for members in _joined(lines)]

    def _on_best(
        self, offsets: NDArray[np.float64], n_points: int
    ) -> NDArray[np.bool_]:
        """Return which offsets are on the least likely line through the origin."""
        distance = np.hypot(*offsets.T)[:, np.newaxis]
        along = np.divide(
            offsets, distance, out=np.zeros_like(offsets), where=distance > 0
        )
        beside = np.abs(
            np.outer(along[:, 0], offsets[:, 1]) - np.outer(along[:, 1], offsets[:, 0])
        )
        # Two points at one place are on a line of no direction.
        beside[distance[:, 0] == 0] = np.inf
        best, on_line = self.max_chance, np.zeros(len(offsets), bool)
        for width in self.max_distance * np.array(_WIDTHS):
            inside = beside <= width
            line = inside.sum(axis=1).argmax()
            count = int(inside[line].sum())
            strip = min(4 * width / (pi * self.radius), 1)
            # One of them defines the line: how likely are all the others?
            chance = bdtrc(count - 2, len(offsets) - 1, strip) * n_points * len(offsets)
            if count + 1 >= self.min_points and chance < best:
                best, on_line = chance, inside[line]
        return on_line


def _joined(lines: list[NDArray[np.intp]]) -> list[NDArray[np.intp]]:
    """Return lines, given by their points, as one where they share all but one.

    A line is found from each of its middle points; lines that cross share one.
    """
    joined: list[NDArray[np.intp]] = []
    for line in sorted(lines, key=lambda points: (-len(points), points.min())):
        for index, known in enumerate(joined):
            if np.isin(line, known).sum() >= len(line) - 1:
                joined[index] = np.union1d(known, line)
                break
        else:
            joined.append(np.sort(line))
    return joined
