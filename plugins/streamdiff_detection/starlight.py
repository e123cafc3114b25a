"""The stars under a difference, in units of its noise."""

from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.compiled import inlined
from streamdiff.imaging.places import places

# Stars at least so significant tell how well positions agree.
_PLACED = 50.0
_SQUARE = tuple((dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Starlight:
    """Significance of the stars that were subtracted; shape (ny, nx).

    Attributes
    ----------
    score : ndarray of float32
        Of the star centred on each pixel [sigma].
    around : ndarray of float32
        Of the brightest one near each pixel, at least 0.
    """

    score: NDArray[np.float32]
    around: NDArray[np.float32]

    @classmethod
    def of(cls, score: NDArray[np.float32], width: float) -> "Starlight":
        """Return the light of stars from their significance.

        Parameters
        ----------
        score : ndarray of float32, shape (ny, nx)
            Of the matched template, filtered as the difference is.
        width : float
            How far the light of a star counts [pixel].
        """
        if not score.any():
            return cls(score=score, around=np.zeros_like(score))
        highest = _highest_within(score, ceil(width))
        return cls(score=score, around=np.maximum(highest, np.float32(0)))

    def offsets(
        self, score: NDArray[np.float32], usable: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return by how much stars are off, along x and along y, and the errors.

        Parameters
        ----------
        score : ndarray of float32, shape (ny, nx)
            Of the difference.
        usable : ndarray of bool, shape (ny, nx)

        Notes
        -----
        A star with the filtered image T that is off by d leaves -d dT/dx. Where T is
        highest, the slope of that is -d d2T/dx2, and the variance of the slope of
        the noise is -(d2T/dx2) / T, by the definition of a matched filter.
        """
        row, column = places(self.score[1:-1, 1:-1] >= _PLACED)
        light = self.score[row + 1, column + 1]
        is_star = np.ones(row.shape, bool)
        for dy, dx in _SQUARE:
            near = row + 1 + dy, column + 1 + dx
            is_star &= usable[near] & (self.score[near] <= light)
        row, column = row[is_star], column[is_star]
        offset, error = [np.zeros(0)], [np.zeros(0)]
        for dy, dx in ((0, 1), (1, 0)):
            after = row + 1 + dy, column + 1 + dx
            before = row + 1 - dy, column + 1 - dx
            middle = self.score[row + 1, column + 1].astype(float)
            curvature = self.score[after] - 2 * middle + self.score[before]
            known = curvature < 0
            slope = (score[after].astype(float) - score[before]) / 2
            offset.append(-slope[known] / curvature[known])
            error.append(1 / np.sqrt(-curvature[known] * middle[known]))
        return np.concatenate(offset), np.concatenate(error)


@inlined
def slope_squared(score: NDArray[np.float32], y: int, x: int) -> np.float32:
    """Return by how much a shift of one pixel changes a score, squared.

    The astrometric noise of Zackay, Ofek & Gal-Yam 2016, ApJ 830, 27, for errors
    that are alike along both axes. Slopes are one-sided at the border.
    """
    height, width = score.shape
    above, below = max(y - 1, 0), min(y + 1, height - 1)
    left, right = max(x - 1, 0), min(x + 1, width - 1)
    total = np.float32(0)
    if below > above:
        down = score[below, x] - score[above, x]
        total += (down / np.float32(below - above)) ** 2
    if right > left:
        along = score[y, right] - score[y, left]
        total += (along / np.float32(right - left)) ** 2
    return total


def _highest_within(plane: NDArray[np.float32], half: int) -> NDArray[np.float32]:
    """Return the highest value up to ``half`` rows and columns away."""
    highest = plane
    for axis in (0, 1):
        margin = [(0, 0), (0, 0)]
        margin[axis] = (half, half)
        padded = np.moveaxis(np.pad(highest, margin, mode="edge"), axis, 0)
        reach, size = 1, 2 * half + 1
        # Of twice as many rows each time; the last step overlaps.
        while reach < size:
            step = min(reach, size - reach)
            padded = np.maximum(padded[:-step], padded[step:])
            reach += step
        highest = np.moveaxis(padded, 0, axis)
    return highest
