"""The stars under a difference, in units of its noise."""

from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.compiled import compiled, inlined

# Stars at least so significant tell how well positions agree.
_PLACED = 50.0
# Pixels that are looked at together: nearly all are faint.
_RUN = 32


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
        around = np.empty_like(score)
        _fill_highest(score, ceil(width), around)
        return cls(score=score, around=around)

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
        stars = _find_stars(self.score, usable, _PLACED)
        row, column = np.array(stars, np.intp).reshape(-1, 2).T
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


@compiled
def _find_stars(
    score: NDArray[np.float32], usable: NDArray[np.bool_], least: float
) -> list[tuple[int, int]]:
    """Return rows and columns of bright pixels that none beside them exceeds."""
    height, width = score.shape
    stars = [(0, 0) for _ in range(0)]
    for y in range(1, height - 1):
        for start in range(1, width - 1, _RUN):
            run, n_bright = score[y, start : min(start + _RUN, width - 1)], 0
            for k in range(len(run)):
                n_bright += run[k] >= least
            for x in range(start, start + len(run) if n_bright else start):
                is_star = score[y, x] >= least
                for k in range(9 if is_star else 0):
                    v, u = y + k // 3 - 1, x + k % 3 - 1
                    is_star &= usable[v, u] & (score[v, u] <= score[y, x])
                if not is_star:
                    continue
                stars.append((y, x))
    return stars


@compiled
def _fill_highest(
    score: NDArray[np.float32], half: int, highest: NDArray[np.float32]
) -> None:
    """Fill in the highest value up to ``half`` rows and columns away, at least 0."""
    height, width = score.shape
    surrounded = np.zeros(width + 2 * half, np.float32)
    middle = surrounded[half : half + width]
    for y in range(height):
        # Along columns first, a row at a time.
        middle[:] = 0
        for v in range(max(y - half, 0), min(y + half + 1, height)):
            line = score[v]
            for x in range(width):
                middle[x] = max(middle[x], line[x])
        target = highest[y]
        target[:] = 0
        for k in range(2 * half + 1):
            beside = surrounded[k : k + width]
            for x in range(width):
                target[x] = max(target[x], beside[x])
