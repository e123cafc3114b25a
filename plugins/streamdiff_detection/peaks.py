"""Local maxima and minima of a significance map."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamdiff.imaging.places import Places

# The neighbours of a pixel, those before it in memory first: of equal values the
# first one is the peak.
_BEFORE = ((-1, -1), (-1, 0), (-1, 1), (0, -1))
_AFTER = ((0, 1), (1, -1), (1, 0), (1, 1))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Peaks:
    """Extrema of a significance map; every attribute has shape (n,).

    Attributes
    ----------
    row, column : ndarray of int64
        Pixel of the extremum.
    x, y : ndarray of float64
        Extremum of the parabolas through the pixel and its neighbours [pixel].
    score : ndarray of float64
        Significance at the pixel [sigma], negative at minima.
    """

    row: NDArray[np.int64]
    column: NDArray[np.int64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    score: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.row)

    def take(self, rows: ArrayLike) -> "Peaks":
        """Return the peaks that an index or boolean array names."""
        rows = np.asarray(rows)
        return Peaks(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def by_significance(self) -> NDArray[np.intp]:
        """Return the order from the most significant peak to the least."""
        return np.lexsort((self.column, self.row, -np.abs(self.score)))

    def by_position(self) -> NDArray[np.intp]:
        """Return the order by row, then column; that of `dia_source_ids`."""
        return np.lexsort((self.x, self.y, np.rint(self.x), np.rint(self.y)))


def find_peaks(
    score: NDArray[np.float32],
    beyond: Places,
    surface: NDArray[np.float32] | None = None,
) -> Peaks:
    """Return the maxima above a threshold, and the minima below its negative.

    Parameters
    ----------
    score : ndarray of float32, shape (ny, nx)
        Significance [sigma]; finite.
    beyond : tuple of ndarray of int64
        Rows and columns of the pixels that reach the threshold; see `places_beyond`.
    surface : ndarray of float32, shape (ny, nx), optional
        Whose extrema are meant, of the signs of ``score``; ``score`` itself by
        default. Where noise varies from pixel to pixel, a source is where the flux
        peaks, not where the noise is least.

    Notes
    -----
    An extremum exceeds its eight neighbours.
    """
    surface = score if surface is None else surface
    row, column = beyond
    value = score[row, column]
    sign = np.sign(value)
    height = sign * surface[row, column]

    def neighbour(dy: int, dx: int) -> NDArray[np.float32]:
        """Return the pixels beside, 0 beyond the border."""
        y, x = row + dy, column + dx
        within = (y >= 0) & (y < surface.shape[0]) & (x >= 0) & (x < surface.shape[1])
        beside = np.zeros_like(height)
        beside[within] = (sign * surface[y % len(surface), x % surface.shape[1]])[
            within
        ]
        return beside

    highest = np.ones(row.size, bool)
    for offset in _BEFORE:
        highest &= height > neighbour(*offset)
    for offset in _AFTER:
        highest &= height >= neighbour(*offset)
    dx = _vertex(neighbour(0, -1), height, neighbour(0, 1))
    dy = _vertex(neighbour(-1, 0), height, neighbour(1, 0))
    return Peaks(
        row=row, column=column, x=column + dx, y=row + dy, score=value.astype(float)
    ).take(highest)


def _vertex(
    before: NDArray[np.float32], middle: NDArray[np.float32], after: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return where the parabola through three points is highest, in [-0.5, 0.5]."""
    slope = 0.5 * (after.astype(float) - before)
    curvature = 2.0 * middle - before - after
    vertex = np.divide(slope, curvature, out=np.zeros_like(slope), where=curvature > 0)
    within: NDArray[np.float64] = np.clip(vertex, -0.5, 0.5)
    return within
