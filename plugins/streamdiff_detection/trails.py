"""Trails along rows and columns: charge that was left behind, bad lines."""

from math import ceil

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from streamdiff.imaging.compiled import compiled, inlined

# Lines are looked at in segments of a FWHM. A segment is raised if it is higher than
# the lines beside it, so many FWHM away, by this [sigma]: one in five is by chance.
_BESIDE, _RAISED = 2.0, 0.5
# In a trail nearly all segments are raised, over so many at the least; rows of stars
# have gaps. A trail is followed on as long as most of fewer segments are.
_SEGMENTS, _RAISED_OF_SEGMENTS = 28, 24
_END, _RAISED_AT_END = 7, 5
_MIN_GOOD = 0.5
# Segments along columns that are written together, side by side in memory.
_TOGETHER = 16
# Not every line is looked at: trails are as wide as the PSF [FWHM].
_STEP = 0.5


def find_trails(score: NDArray[np.float32], width: float) -> NDArray[np.bool_]:
    """Return True on long, straight ridges along rows and columns; shape (ny, nx).

    Parameters
    ----------
    score : ndarray of float32, shape (ny, nx)
        Significance, of either sign; 0 where there is none.
    width : float
        FWHM of the PSF [pixel].

    Notes
    -----
    Charge that bleeds from saturated stars, or is left behind on the way to the
    amplifier, lifts a line of pixels by so little that no pixel tells. That all of
    the line is lifted does.
    """
    segment, step = max(round(width), 1), max(int(_STEP * width), 1)
    # Levels take half as much memory as the result: they are gone when it is made.
    ridges = [
        _ridges(_levels(score, segment, step, axis), width / step) for axis in (0, 1)
    ]
    trails = np.zeros(score.shape, bool)
    for found, marked in zip(ridges, (trails, trails.T), strict=True):
        _mark_enlarged(found, step, segment, marked)
    return trails


def _levels(
    score: NDArray[np.float32], segment: int, step: int, axis: int
) -> NDArray[np.float32]:
    """Return the means of the segments of lines, one line per row, 0 if unknown.

    Lines are rows for axis 0, columns for axis 1; every ``step``-th counts.
    """
    n_lines, length = -(-score.shape[axis] // step), score.shape[1 - axis]
    levels = np.zeros((n_lines, length // segment), np.float32)
    fill = _fill_from_columns if axis else _fill_from_rows
    fill(score, segment, step, ceil(_MIN_GOOD * segment), levels)
    return levels


@compiled
def _fill_from_rows(
    score: NDArray[np.float32],
    segment: int,
    step: int,
    least: int,
    levels: NDArray[np.float32],
) -> None:
    n_lines, n = levels.shape
    for i in range(n_lines):
        line = score[i * step]
        for j in range(n):
            total, n_good = np.float32(0), 0
            for k in range(segment):
                value = line[j * segment + k]
                total += value
                n_good += value != 0
            if n_good >= least:
                levels[i, j] = total / n_good


@compiled
def _fill_from_columns(
    score: NDArray[np.float32],
    segment: int,
    step: int,
    least: int,
    levels: NDArray[np.float32],
) -> None:
    n_lines, n = levels.shape
    width = score.shape[1]
    # Numbers as wide as the totals: many lines are looked at at once.
    total, n_good = np.zeros((2, width), np.float32)
    block = np.zeros((_TOGETHER, width), np.float32)
    for j in range(n):
        total[:], n_good[:] = 0, 0
        for y in range(j * segment, (j + 1) * segment):
            for x in range(width):
                total[x] += score[y, x]
                n_good[x] += np.float32(score[y, x] != 0)
        row = block[j % _TOGETHER]
        for x in range(width):
            row[x] = total[x] / n_good[x] if n_good[x] >= least else np.float32(0)
        number = j % _TOGETHER + 1
        if number == _TOGETHER or j == n - 1:
            for i in range(n_lines):
                for k in range(number):
                    levels[i, j + 1 - number + k] = block[k, i * step]


def _ridges(levels: NDArray[np.float32], lines_per_width: float) -> NDArray[np.bool_]:
    """Return True on segments of trails, and as many lines around as a PSF is wide."""
    beside = max(round(_BESIDE * lines_per_width), 1)
    ridges = np.zeros(levels.shape, bool)
    if levels.shape[1] >= _SEGMENTS:
        _mark_ridges(levels, beside, ridges)
    if not ridges.any():
        return ridges
    lines = 2 * ceil(lines_per_width / 2) + 1
    return np.asarray(ndimage.maximum_filter(ridges, (lines, 1)))


@compiled
def _mark_ridges(
    levels: NDArray[np.float32], beside: int, ridges: NDArray[np.bool_]
) -> None:
    """Mark long runs of segments that are raised, or sunk, beyond those beside."""
    n_lines, n = levels.shape
    raised, before = np.zeros(n, np.int32), np.zeros(n + 1, np.int32)
    for i in range(n_lines):
        above, below = levels[max(i - beside, 0)], levels[min(i + beside, n_lines - 1)]
        line = levels[i]
        for sign in (np.float32(1), np.float32(-1)):
            for j in range(n):
                highest = max(sign * above[j], sign * below[j])
                raised[j] = sign * line[j] - highest > _RAISED
            for j in range(n):
                before[j + 1] = before[j] + raised[j]
            most = 0
            for j in range(n - _SEGMENTS + 1):
                most = max(most, before[j + _SEGMENTS] - before[j])
            if most >= _RAISED_OF_SEGMENTS:
                _mark_lasting(raised, before, ridges[i])


@inlined
def _mark_lasting(
    raised: NDArray[np.int32], before: NDArray[np.int32], lasting: NDArray[np.bool_]
) -> None:
    """Mark long runs of raised segments of a line, gaps and all.

    Near the ends of a line, a short run goes on as its last segment is.
    """
    n, half = len(raised), _END // 2
    start, is_long = 0, False
    for j in range(n + 1):
        goes_on = False
        if j < n:
            first, last = max(j - _SEGMENTS // 2, 0), min(j + _SEGMENTS // 2, n)
            long = before[last] - before[first] >= _RAISED_OF_SEGMENTS
            near = before[min(j + half + 1, n)] - before[max(j - half, 0)]
            near += max(half - j, 0) * raised[0]
            near += max(j + half + 1 - n, 0) * raised[n - 1]
            goes_on = long or near >= _RAISED_AT_END
            is_long = is_long or long
        if not goes_on:
            if is_long:
                lasting[start:j] = True
            start, is_long = j + 1, False


def _mark_enlarged(
    ridges: NDArray[np.bool_], step: int, segment: int, marked: NDArray[np.bool_]
) -> None:
    """Mark the pixels of segments of every ``step``-th line."""
    if not ridges.any():
        return
    rows, columns = (np.arange(n) for n in marked.shape)
    nearest_row = np.minimum((rows + step // 2) // step, ridges.shape[0] - 1)
    nearest_column = np.minimum(columns // segment, ridges.shape[1] - 1)
    own = np.any(ridges, axis=1)[nearest_row]
    marked[own] |= ridges[np.ix_(nearest_row[own], nearest_column)]
