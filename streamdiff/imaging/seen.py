"""How much of what is centred on a pixel lies on good pixels."""

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.compiled import compiled, inlined

# Rows that are looked at together, and pixels of a row: nearly all are good.
_STRIP, _RUN = 64, 64


def is_seen(
    surrounded: NDArray[np.bool_], stamp: NDArray[np.floating], least: float
) -> NDArray[np.bool_]:
    """Return whether enough of a stamp, centred on each pixel, is on good pixels.

    Parameters
    ----------
    surrounded : ndarray of bool, shape (ny + ky - 1, nx + kx - 1)
        Which pixels are good, and which of those around them that a stamp reaches.
    stamp : ndarray of float, shape (ky, kx)
        At least 0, with odd sides.
    least : float
        Part of its sum that is enough.

    Returns
    -------
    ndarray of bool, shape (ny, nx)
    """
    ky, kx = stamp.shape
    weights = np.asarray(stamp / stamp.sum(), np.float32)
    # Weights of the first pixels of each row, none to all of them.
    sums = np.cumsum(np.pad(weights, ((0, 0), (1, 0))), axis=1, dtype=np.float32)
    height, width = surrounded.shape
    seen = np.empty((height - ky + 1, width - kx + 1), np.bool_)
    _fill_seen(np.ascontiguousarray(surrounded), sums, np.float32(least), seen)
    return seen


@compiled
def _fill_seen(
    surrounded: NDArray[np.bool_],
    sums: NDArray[np.float32],
    least: np.float32,
    seen: NDArray[np.bool_],
) -> None:
    """Take off the weights of pixels that are not good, a run of them at a time."""
    height, width = seen.shape
    ky, kx = sums.shape[0], sums.shape[1] - 1
    n_columns = surrounded.shape[1]
    # Strip by strip: the shares stay in the cache.
    strip = np.empty((_STRIP, width), np.float32)
    for first in range(0, height, _STRIP):
        stop = min(first + _STRIP, height)
        strip[:] = 1
        for v in range(first, stop + ky - 1):
            top, bottom = max(v - ky + 1, first), min(v + 1, stop)
            start, end = 0, 0
            while end < n_columns:
                start = _next(surrounded[v], end, False)
                end = _next(surrounded[v], start, True)
                for y in range(top, bottom):
                    row, share = sums[v - y], strip[y - first]
                    for x in range(max(start - kx + 1, 0), min(end, width)):
                        share[x] -= row[min(end - x, kx)] - row[max(start - x, 0)]
        for y in range(first, stop):
            for x in range(width):
                seen[y, x] = strip[y - first, x] >= least


@inlined
def _next(row: NDArray[np.bool_], start: int, wanted: bool) -> int:
    """Return where a value is next in a row, its length if nowhere."""
    x = start
    while x + _RUN <= len(row):
        n_wanted, run = 0, row[x : x + _RUN]
        for k in range(_RUN):
            n_wanted += run[k] == wanted
        if n_wanted:
            break
        x += _RUN
    while x < len(row) and row[x] != wanted:
        x += 1
    return x
