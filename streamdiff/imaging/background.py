"""The sky of an image: its level, its noise, and the pixels that show only it.

The mode of boxes, median-filtered and joined by splines: Bertin & Arnouts 1996,
A&AS 117, 393, in the implementation of Barbary 2016, JOSS 1, 58.
"""

import numpy as np
import sep
from numpy.typing import NDArray
from scipy import ndimage

from streamdiff.imaging.interpolate import dilate_by_square
from streamdiff.imaging.noise import SIGMA_PER_MAD

# With fewer usable pixels there is no histogram to take a mode of.
_MIN_PIXELS = 64
_SMOOTHING = 1.5
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
    sources = _sources(image - first, unusable, signs)
    if np.mean(sources | unusable) > _MAX_COVERED:
        return first
    return _boxed(image, unusable | sources, box)


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
    used = image[~excluded]
    if used.size < _MIN_PIXELS:
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
    used = ~unusable
    found = np.zeros(residual.shape, bool)
    if not used.any():
        return found
    smooth = ndimage.gaussian_filter(
        np.where(used, residual, np.float32(0)), _SMOOTHING, truncate=3
    )
    values = smooth[used]
    values = values[:: max(1, values.size // _MAX_VALUES)]
    level = np.median(values)
    for sign in signs:
        # Sources only add: the noise is that of the pixels on the other side.
        beyond = sign * (level - values)
        beyond = beyond[beyond > 0]
        sigma = SIGMA_PER_MAD * np.median(beyond) if beyond.size else 0.0
        found |= used & (sign * (smooth - level) > _OBJECT_SIGMA * sigma)
    return dilate_by_square(found, _GROW // 2)
