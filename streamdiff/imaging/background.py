"""The sky of an image: its level, its noise, and the pixels that show only it.

The mode of boxes, median-filtered and joined by splines: Bertin & Arnouts 1996,
A&AS 117, 393, in the implementation of Barbary 2016, JOSS 1, 58.
"""

import numpy as np
import sep
from numpy.typing import NDArray

from streamdiff.imaging.compiled import compiled, inlined
from streamdiff.imaging.interpolate import dilate_by_square
from streamdiff.imaging.noise import SIGMA_PER_MAD, median
from streamdiff.model.planes import read_only

# With fewer usable pixels there is no histogram to take a mode of.
_MIN_PIXELS = 64
_SMOOTHING, _REACH = 1.5, 5
_OBJECT_SIGMA = 3.0
# So many pixels know a level and a scatter to a thousandth.
_MAX_VALUES = 1_000_000
_GROW = 5
# Where objects cover more than this, boxes without sky would be extrapolated.
_MAX_COVERED = 0.7


def sky_background(
    image: NDArray[np.float32],
    unusable: NDArray[np.bool_],
    *,
    box: int = 64,
    both_signs: bool = False,
) -> NDArray[np.float32]:
    """Return the level of the sky under every pixel.

    Parameters
    ----------
    image : ndarray of float32, shape (ny, nx)
    unusable : ndarray of bool, shape (ny, nx)
        True where pixels do not count. Pixels that are not finite never count.
    box : int
        Side of the boxes [pixel], larger than the largest source; they shrink
        to the size of the image.
    both_signs : bool
        Whether sources may be negative, as on a difference.

    Returns
    -------
    ndarray of float32, shape (ny, nx)
        Zero where the image has no usable pixel at all.

    Notes
    -----
    Sources are found on the first estimate, masked and left out of a second one.
    """
    unusable = unusable | ~np.isfinite(image)
    first = _boxed(image, unusable, box)
    signs = (1, -1) if both_signs else (1,)
    covered = unusable | _sources(image - first, unusable, signs)
    if np.count_nonzero(covered) > _MAX_COVERED * covered.size:
        return first
    return _boxed(image, covered, box)


def blank_pixels(
    image: NDArray[np.float32], unusable: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return True where a sky-subtracted image shows sky alone; shape (ny, nx)."""
    unusable = unusable | ~np.isfinite(image)
    blank: NDArray[np.bool_] = ~(unusable | _sources(image, unusable))
    return blank


def _boxed(
    image: NDArray[np.float32], excluded: NDArray[np.bool_], box: int
) -> NDArray[np.float32]:
    if excluded.size - np.count_nonzero(excluded) < _MIN_PIXELS:
        used = image[~excluded]
        level = np.median(used) if used.size else 0
        return np.full(image.shape, level, np.float32)
    ny, nx = image.shape
    finite = np.where(excluded, np.float32(0), image)
    sky = sep.Background(
        np.ascontiguousarray(finite, np.float32),
        mask=np.array(excluded),
        bw=min(box, nx),
        bh=min(box, ny),
    )
    level = sky.back(dtype=np.float32)
    return np.asarray(level, np.float32)


def _sources(
    residual: NDArray[np.float32],
    unusable: NDArray[np.bool_],
    signs: tuple[int, ...] = (1,),
) -> NDArray[np.bool_]:
    """Return True on and around what stands out of the smoothed image."""
    if unusable.all():
        return np.zeros(residual.shape, bool)
    weights = np.exp(-0.5 * (np.arange(_REACH + 1) / _SMOOTHING) ** 2)
    weights /= 2 * weights.sum() - weights[0]
    smooth = np.empty(residual.shape, np.float32)
    _smooth(residual, read_only(unusable), weights, smooth)
    values = smooth[~unusable]
    values = values[:: max(1, values.size // _MAX_VALUES)]
    level = median(values)
    above, below = (
        _OBJECT_SIGMA * _scatter(sign * (level - values)) if sign in signs else np.inf
        for sign in (1, -1)
    )
    found = np.empty(residual.shape, np.bool_)
    _mark_beyond(smooth, read_only(unusable), level + above, level - below, found)
    return dilate_by_square(found, _GROW // 2)


def _scatter(beyond: NDArray[np.float32]) -> float:
    """Return the noise on the side without sources, which only add to it."""
    beyond = beyond[beyond > 0]
    return SIGMA_PER_MAD * median(beyond) if beyond.size else 0.0


@compiled
def _smooth(
    image: NDArray[np.float32],
    unusable: NDArray[np.bool_],
    weights: NDArray[np.float64],
    smooth: NDArray[np.float32],
) -> None:
    """Fill in an image smoothed along both axes by a symmetric profile.

    Unusable pixels are 0; beyond the border is the mirror image.
    """
    height, width = image.shape
    reach = len(weights) - 1
    total, along = np.empty(width), np.empty(width + 2 * reach)
    for y in range(height):
        total[:] = 0
        for k in range(-reach, reach + 1):
            row = _mirrored(y + k, height)
            weight, values, lost = weights[abs(k)], image[row], unusable[row]
            for x in range(width):
                total[x] += np.float64(0) if lost[x] else weight * values[x]
        for x in range(width):
            along[reach + x] = total[x]
        for k in range(reach):
            along[k] = total[_mirrored(k - reach, width)]
            along[reach + width + k] = total[_mirrored(width + k, width)]
        total[:] = 0
        for k in range(2 * reach + 1):
            weight, values = weights[abs(k - reach)], along[k : k + width]
            for x in range(width):
                total[x] += weight * values[x]
        for x in range(width):
            smooth[y, x] = total[x]


@inlined
def _mirrored(i: int, n: int) -> int:
    """Return where an index is on an axis that goes on as its mirror image."""
    i %= 2 * n
    return min(i, 2 * n - 1 - i)


@compiled
def _mark_beyond(
    smooth: NDArray[np.float32],
    unusable: NDArray[np.bool_],
    highest: float,
    lowest: float,
    found: NDArray[np.bool_],
) -> None:
    for y in range(smooth.shape[0]):
        for x in range(smooth.shape[1]):
            beyond = (smooth[y, x] > highest) | (smooth[y, x] < lowest)
            found[y, x] = beyond & (not unusable[y, x])
