"""The stars under a difference, in units of its noise."""

from dataclasses import dataclass
from math import ceil
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.compiled import compiled, inlined
from streamdiff.imaging.places import Places, places, places_beyond, surroundings
from streamdiff.model.planes import read_only

# Stars at least so significant tell how well positions agree.
_PLACED = 50.0
# Rows that are looked at together.
_STRIP = 256


class Pixels(Protocol):
    """What tells of pixels whether they can be used."""

    def __getitem__(self, part: Any, /) -> NDArray[np.bool_]:  # noqa: ANN401
        """Return it for those of an index, as arrays have."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Starlight:
    """Significance of the stars that were subtracted.

    Attributes
    ----------
    score : ndarray of float32, shape (ny, nx)
        Of the star centred on each pixel [sigma], of the matched template, filtered as
        the difference is.
    reach : int
        How many rows and columns away the light of a star counts.
    stars : tuple of ndarray of int64
        Rows and columns of pixels with a score of at least 50.
    """

    score: NDArray[np.float32]
    reach: int
    stars: Places

    @classmethod
    def of(cls, score: NDArray[np.float32], width: float) -> "Starlight":
        """Return the light of stars that counts up to a width [pixel] away."""
        row, column = places_beyond(score, _PLACED)
        positive = score[row, column] > 0
        stars = row[positive], column[positive]
        return cls(score=score, reach=ceil(width), stars=stars)

    def around(self, step: int = 1) -> NDArray[np.float32]:
        """Return the score of the brightest star near pixels, at least 0.

        Every ``step``-th row and column counts.
        """
        ny, nx = self.score.shape
        highest = np.empty((-(-ny // step), -(-nx // step)), np.float32)
        _fill_highest(read_only(self.score), self.reach, step, highest)
        return highest

    def around_at(self, here: Places) -> NDArray[np.float32]:
        """Return the score of the brightest star near some pixels; shape (n,)."""
        highest = np.empty(len(here[0]), np.float32)
        _fill_highest_at(*here, read_only(self.score), self.reach, highest)
        return highest

    def bright(self, least: float) -> Places:
        """Return rows and columns of pixels near ``stars`` that reach a score."""
        enough = self.score[self.stars] >= least
        row, column = (each[enough] for each in self.stars)
        (ny, nx), reach = self.score.shape, self.reach
        rows, columns = [row[:0]], [column[:0]]
        # Strip by strip: no plane is made.
        for first in range(0, ny, _STRIP):
            last = min(first + _STRIP, ny)
            near = slice(*np.searchsorted(row, (first - reach, last + reach)))
            stars = row[near] - first, column[near]
            y, x = places(surroundings(stars, reach, (last - first, nx)))
            rows.append(first + y)
            columns.append(x)
        return np.concatenate(rows), np.concatenate(columns)

    def offsets(
        self, score: NDArray[np.float32], usable: Pixels
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return by how much stars are off, along x and along y, and the errors.

        Parameters
        ----------
        score : ndarray of float32, shape (ny, nx)
            Of the difference.
        usable : ndarray of bool, shape (ny, nx), or what is indexed as one

        Notes
        -----
        A star with the filtered image T that is off by d leaves -d dT/dx. Where T is
        highest, the slope of that is -d d2T/dx2, and the variance of the slope of
        the noise is -(d2T/dx2) / T, by the definition of a matched filter.
        """
        highest = np.empty(len(self.stars[0]), np.bool_)
        _mark_highest(*self.stars, read_only(self.score), highest)
        row, column = (each[highest] for each in self.stars)
        down, along = np.indices((3, 3)).reshape(2, 9) - 1
        around = row[:, np.newaxis] + down, column[:, np.newaxis] + along
        known = usable[around].all(axis=1)
        row, column = row[known], column[known]
        offset, error = [np.zeros(0)], [np.zeros(0)]
        for dy, dx in ((0, 1), (1, 0)):
            after, before = (row + dy, column + dx), (row - dy, column - dx)
            middle = self.score[row, column].astype(float)
            curvature = self.score[after] - 2 * middle + self.score[before]
            known = curvature < 0
            slope = (score[after].astype(float) - score[before]) / 2
            offset.append(-slope[known] / curvature[known])
            error.append(1 / np.sqrt(-curvature[known] * middle[known]))
        return np.concatenate(offset), np.concatenate(error)


@compiled
def _mark_highest(
    row: NDArray[np.int64],
    column: NDArray[np.int64],
    score: NDArray[np.float32],
    highest: NDArray[np.bool_],
) -> None:
    """Mark the pixels that none beside them exceeds, but for those on the border."""
    height, width = score.shape
    for i in range(len(row)):
        y, x = row[i], column[i]
        inside = y > 0 and y < height - 1 and x > 0 and x < width - 1
        highest[i] = inside
        for k in range(9 if inside else 0):
            v, u = y + k // 3 - 1, x + k % 3 - 1
            highest[i] &= score[v, u] <= score[y, x]


@compiled
def _fill_highest(
    score: NDArray[np.float32], reach: int, step: int, highest: NDArray[np.float32]
) -> None:
    """Fill in the highest value up to ``reach`` rows and columns away, at least 0."""
    height, width = score.shape
    line, spare = np.empty((2, width + 2 * reach), np.float32)
    for i in range(highest.shape[0]):
        y = i * step
        line[:] = 0
        for v in range(max(y - reach, 0), min(y + reach + 1, height)):
            raise_to(line[reach : reach + width], score[v])
        # Windows along the row double from pass to pass.
        side = 1
        while side <= 2 * reach:
            more = min(side, 2 * reach + 1 - side)
            ahead = line[more:]
            for x in range(len(ahead)):
                spare[x] = max(line[x], ahead[x])
            line, spare, side = spare, line, side + more
        for j in range(highest.shape[1]):
            highest[i, j] = line[j * step]


@inlined
def raise_to(line: NDArray[np.float32], other: NDArray[np.float32]) -> None:
    """Raise the values of a row to those of another one, where these are higher."""
    for x in range(len(line)):
        line[x] = max(line[x], other[x])


@compiled
def _fill_highest_at(
    row: NDArray[np.int64],
    column: NDArray[np.int64],
    score: NDArray[np.float32],
    reach: int,
    highest: NDArray[np.float32],
) -> None:
    height, width = score.shape
    for i in range(len(row)):
        most = np.float32(0)
        for y in range(max(row[i] - reach, 0), min(row[i] + reach + 1, height)):
            for x in range(
                max(column[i] - reach, 0), min(column[i] + reach + 1, width)
            ):
                most = max(most, score[y, x])
        highest[i] = most
