"""Trails along rows and columns: charge that was left behind, bad lines."""

from math import ceil

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from streamdiff.imaging.compiled import compiled

# Lines are looked at in segments of a FWHM. A segment is raised if it is higher than
# the lines beside it, so many FWHM away, by this [sigma]: one in five is by chance.
_BESIDE, _RAISED = 2.0, 0.5
# In a trail nearly all segments are raised, over so many at the least; rows of stars
# have gaps. A trail is followed on as long as most of fewer segments are.
_SEGMENTS, _RAISED_OF_SEGMENTS = 28, 24
_END, _RAISED_AT_END = 7, 5
_MIN_GOOD = 0.5
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
    trails = np.zeros(score.shape, bool)
    for axis, marked in enumerate((trails, trails.T)):
        levels = _levels(score, segment, step, axis)
        if levels.shape[1] < _SEGMENTS:
            continue
        ridges = _ridges(levels, width / step)
        if ridges.any():
            marked[_enlarged(ridges, marked.shape, step, segment)] = True
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
    total, n_good = np.zeros(n_lines, np.float32), np.zeros(n_lines, np.int64)
    for j in range(n):
        total[:], n_good[:] = 0, 0
        for y in range(j * segment, (j + 1) * segment):
            for i in range(n_lines):
                value = score[y, i * step]
                total[i] += value
                n_good[i] += value != 0
        for i in range(n_lines):
            if n_good[i] >= least:
                levels[i, j] = total[i] / n_good[i]


def _ridges(levels: NDArray[np.float32], lines_per_width: float) -> NDArray[np.bool_]:
    """Return True on segments of trails, and as many lines around as a PSF is wide."""
    beside = max(round(_BESIDE * lines_per_width), 1)
    padded = np.pad(levels, ((beside, beside), (0, 0)), mode="edge")
    above, below = padded[2 * beside :], padded[: -2 * beside]
    ridges = np.zeros(levels.shape, bool)
    for sign in (1, -1):
        contrast = sign * levels - np.maximum(sign * above, sign * below)
        _mark_lasting(contrast > _RAISED, ridges)
    if not ridges.any():
        return ridges
    lines = 2 * ceil(lines_per_width / 2) + 1
    return np.asarray(ndimage.maximum_filter(ridges, (lines, 1)))


@compiled
def _mark_lasting(raised: NDArray[np.bool_], lasting: NDArray[np.bool_]) -> None:
    """Mark long runs of raised segments along rows, gaps and all.

    Near the ends of a row, a short run goes on as its last segment is.
    """
    n_rows, n = raised.shape
    before, half = np.zeros(n + 1, np.int64), _END // 2
    for i in range(n_rows):
        for j in range(n):
            before[j + 1] = before[j] + raised[i, j]
        if before[n] < _RAISED_OF_SEGMENTS:
            continue
        start, is_long = 0, False
        for j in range(n + 1):
            goes_on = False
            if j < n:
                first, last = max(j - _SEGMENTS // 2, 0), min(j + _SEGMENTS // 2, n)
                long = before[last] - before[first] >= _RAISED_OF_SEGMENTS
                near = before[min(j + half + 1, n)] - before[max(j - half, 0)]
                near += max(half - j, 0) * raised[i, 0]
                near += max(j + half + 1 - n, 0) * raised[i, n - 1]
                goes_on = long or near >= _RAISED_AT_END
                is_long = is_long or long
            if not goes_on:
                if is_long:
                    lasting[i, start:j] = True
                start, is_long = j + 1, False


def _enlarged(
    ridges: NDArray[np.bool_], shape: tuple[int, ...], step: int, segment: int
) -> NDArray[np.bool_]:
    """Return the pixels of segments of every ``step``-th line."""
    rows, columns = (np.arange(n) for n in shape)
    nearest_row = np.minimum((rows + step // 2) // step, ridges.shape[0] - 1)
    nearest_column = np.minimum(columns // segment, ridges.shape[1] - 1)
    pixels: NDArray[np.bool_] = ridges[np.ix_(nearest_row, nearest_column)]
    return pixels
