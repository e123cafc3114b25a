"""What is done to every pixel of a stack, compiled."""

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.compiled import compiled, inlined


@compiled
def medians(
    values: NDArray[np.float32],
    median: NDArray[np.float32],
    n_usable: NDArray[np.uint16],
) -> None:
    """Fill in the median and the number of what is not NaN; 0 where nothing is.

    Parameters
    ----------
    values : ndarray of float32, shape (n, ny, nx)
    median : ndarray of float32, shape (ny, nx)
    n_usable : ndarray of uint16, shape (ny, nx)
    """
    n, height, width = values.shape
    some = np.empty(n, np.float32)
    for y in range(height):
        for x in range(width):
            size = 0
            for i in range(n):
                if not np.isnan(values[i, y, x]):
                    some[size] = values[i, y, x]
                    size += 1
            n_usable[y, x] = size
            median[y, x] = _median(some, size) if size else np.float32(0)


@compiled
def clipped_means(
    values: NDArray[np.float32],
    variances: NDArray[np.float32],
    weights: NDArray[np.float32],
    median: NDArray[np.float32],
    tolerance: NDArray[np.float32],
    reach: NDArray[np.float32],
    planes: NDArray[np.float32],
) -> None:
    """Fill in the weighted means of what lies close to the median.

    Parameters
    ----------
    values, variances : ndarray of float32, shape (n, ny, nx)
        A value that is NaN does not count.
    weights : ndarray of float32, shape (n,)
    median : ndarray of float32, shape (ny, nx)
    tolerance : ndarray of float32, shape (ny, nx)
        Distance from the median that always counts as close.
    reach : ndarray of float32, shape (ny, nx)
        How much farther than that a value may be [sigma].
    planes : ndarray of float32, shape (3, ny, nx)
        The means, their variances, and the sums of the weights.
    """
    n, height, width = values.shape
    for y in range(height):
        for x in range(width):
            total = flux = noise = np.float32(0)
            for i in range(n):
                value, variance = values[i, y, x], variances[i, y, x]
                if np.isnan(value):
                    continue
                limit = tolerance[y, x] + reach[y, x] * np.sqrt(variance)
                if np.abs(value - median[y, x]) <= limit:
                    total += weights[i]
                    flux += weights[i] * value
                    noise += weights[i] * weights[i] * variance
            planes[2, y, x] = total
            if total > 0:
                planes[0, y, x] = flux / total
                planes[1, y, x] = noise / (total * total)
            else:
                planes[0, y, x] = median[y, x]
                planes[1, y, x] = 0


@inlined
def _median(values: NDArray[np.float32], size: int) -> np.float32:
    """Return the median of the first values, which it puts into another order."""
    upper = _select(values, size, size // 2)
    if size % 2:
        return upper
    lower = values[0]
    for i in range(1, size // 2):
        lower = max(lower, values[i])
    middle: np.float32 = (lower + upper) / np.float32(2)
    return middle


@inlined
def _select(values: NDArray[np.float32], size: int, rank: int) -> np.float32:
    """Return the value of a rank, from 0; none before it is larger afterwards."""
    first, last = 0, size - 1
    while first < last:
        pivot = values[(first + last) // 2]
        i, j = first, last
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if rank <= j:
            last = j
        elif rank >= i:
            first = i
        else:
            break
    value: np.float32 = values[rank]
    return value
