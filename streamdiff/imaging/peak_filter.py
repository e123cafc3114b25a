"""A filter that shows stars and sums to nothing, and its peaks, compiled."""

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.compiled import compiled, inlined


@compiled
def filter_for_peaks(
    image: NDArray[np.float32], weights: NDArray[np.float32], box: int
) -> NDArray[np.float32]:
    """Return an image smoothed by a symmetric profile, minus the means of boxes.

    Parameters
    ----------
    image : ndarray of float32, shape (ny, nx)
        Finite everywhere; beyond the border is its mirror image.
    weights : ndarray of float32, shape (2 k + 1,)
        Profile along each axis, of sum 1.
    box : int
        Odd side of the boxes, more than 2 k [pixel].

    Returns
    -------
    ndarray of float32, shape (ny, nx)
    """
    height, width = image.shape
    half, reach = box // 2, len(weights) // 2
    result = np.empty((height, width), np.float32)
    surrounded = np.empty(width + 2 * half, np.float32)
    smooth, means = np.empty(width, np.float32), np.empty(width, np.float32)
    sums = np.zeros(width + 2 * half, np.float64)
    inner = sums[half : half + width]
    for k in range(-half, half + 1):
        inner += image[_mirrored(k, height)]
    for y in range(height):
        # Along y first: a row of the image at a time.
        smooth[:] = weights[reach] * image[y]
        for k in range(1, reach + 1):
            before, after = (
                image[_mirrored(y - k, height)],
                image[_mirrored(y + k, height)],
            )
            _add_both(before, after, weights[reach + k], smooth)
        _surround(smooth, surrounded, half)
        _surround_sums(sums, half, width)
        _average(sums, box, means)
        row = result[y]
        row[:] = weights[reach] * smooth - means
        for k in range(1, reach + 1):
            before, after = surrounded[half - k :], surrounded[half + k :]
            _add_both(before, after, weights[reach + k], row)
        new, old = (
            image[_mirrored(y + half + 1, height)],
            image[_mirrored(y - half, height)],
        )
        for x in range(width):
            inner[x] += np.float64(new[x]) - np.float64(old[x])
    return result


@inlined
def _add_both(
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    weight: np.float32,
    row: NDArray[np.float32],
) -> None:
    """Add what is as far away on either side, which has the same weight."""
    for x in range(len(row)):
        row[x] += weight * (before[x] + after[x])


@inlined
def _average(sums: NDArray[np.float64], box: int, means: NDArray[np.float32]) -> None:
    """Fill in the means of boxes of the sums over their columns."""
    total, share = sums[: box - 1].sum(), 1 / (box * box)
    first, last = sums[: len(means)], sums[box - 1 :]
    for x in range(len(means)):
        total += last[x]
        means[x] = total * share
        total -= first[x]


@compiled
def find_peaks(
    filtered: NDArray[np.float32],
    variance: NDArray[np.float32],
    unusable: NDArray[np.bool_],
    lowest: float,
    reach: int,
) -> NDArray[np.bool_]:
    """Return True on pixels above a threshold that none near them exceeds.

    Parameters
    ----------
    filtered : ndarray of float32, shape (ny, nx)
    variance : ndarray of float32, shape (ny, nx)
        Of the pixels before they were filtered, at least 0.
    unusable : ndarray of bool, shape (ny, nx)
        Pixels that are no peaks.
    lowest : float
        The threshold, at least 0 [standard deviations of a pixel].
    reach : int
        How near along each axis [pixel].
    """
    height, width = filtered.shape
    found = np.zeros((height, width), np.bool_)
    above = np.empty(width, np.bool_)
    for y in range(height):
        # Without branches, pixels are compared in groups.
        for x in range(width):
            # In double precision, no square is too large.
            value = np.float64(filtered[y, x])
            above[x] = (value > 0) & (value * value > lowest * lowest * variance[y, x])
        for x in range(width):
            if above[x] and not unusable[y, x]:
                found[y, x] = not _is_exceeded(filtered, y, x, reach)
    return found


@inlined
def _is_exceeded(filtered: NDArray[np.float32], y: int, x: int, reach: int) -> bool:
    """Return whether a pixel near another one is higher."""
    height, width = filtered.shape
    for row in range(max(y - reach, 0), min(y + reach + 1, height)):
        for column in range(max(x - reach, 0), min(x + reach + 1, width)):
            if filtered[row, column] > filtered[y, x]:
                return True
    return False


@inlined
def _mirrored(i: int, n: int) -> int:
    """Return where an index is on an axis that goes on as its mirror image."""
    i %= 2 * n
    return min(i, 2 * n - 1 - i)


@inlined
def _surround(
    row: NDArray[np.float32], surrounded: NDArray[np.float32], margin: int
) -> None:
    width = len(row)
    surrounded[margin : margin + width] = row
    for k in range(margin):
        surrounded[k] = row[_mirrored(k - margin, width)]
        surrounded[margin + width + k] = row[_mirrored(width + k, width)]


@inlined
def _surround_sums(sums: NDArray[np.float64], margin: int, width: int) -> None:
    for k in range(margin):
        sums[k] = sums[margin + _mirrored(k - margin, width)]
        sums[margin + width + k] = sums[margin + _mirrored(width + k, width)]
