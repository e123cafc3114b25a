"""Streaks: what crosses most of the image in a straight line, at any angle."""

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.compiled import compiled
from streamdiff.imaging.outline import count_areas
from streamdiff.imaging.places import Places, places
from streamdiff.imaging.streaks import find_streaks
from streamdiff.model import Difference, MaskPlane
from streamdiff_detection.levelling import LevelRules, roughly_levelled

# Pixels are added up in squares: about the width of a PSF, the least of a streak.
_SIDE = 4
# A streak may be nowhere significant: that a line is full of squares that exceed this
# [sigma], one in 44 of noise, tells it.
_LOW = 2.0
_FILLED = 0.5
_TAIL = 0.01


def without_streaks(
    difference: Difference, mask: NDArray[np.int32], rules: LevelRules
) -> Difference:
    """Mark streaks, at any angle; return a roughly levelled difference without them.

    Parameters
    ----------
    difference : Difference
        Roughly levelled.
    mask : ndarray of int32, shape (ny, nx)
        That of the difference, where it can be written.
    rules : LevelRules

    Notes
    -----
    A wide one lifts the level that the rough pass takes off: its sides are lost, and
    what is beside it seems to be a streak of the other sign. Once it is masked, the
    pass is repeated, and the sides are sought.
    """
    pulls = binned_pulls(difference, rules.left_out)
    first = stronger_sign(pulls)
    found = True
    for sign in (first, first, -first):
        if sign == first and not found:
            continue
        streaks = find_streak_pixels(sign * pulls, difference.shape)
        found = len(streaks[0]) > 0
        if found:
            mask[streaks] |= np.int32(MaskPlane.STREAK)
            difference = roughly_levelled(difference, rules)
            pulls = binned_pulls(difference, rules.left_out)
    return difference


def binned_pulls(difference: Difference, exclude: MaskPlane) -> NDArray[np.float32]:
    """Return the significance of squares of pixels, 0 where none counts.

    Parameters
    ----------
    difference : Difference
        Its noise is white, its level 0.
    exclude : MaskPlane
        Pixels that do not count.
    """
    pulls = np.zeros([n // _SIDE for n in difference.shape], np.float32)
    planes = difference.image, difference.variance, difference.mask
    _fill_pulls(*planes, np.int32(exclude), pulls)
    return pulls


def find_streak_pixels(pulls: NDArray[np.float32], shape: tuple[int, int]) -> Places:
    """Return rows and columns of stripes along bright straight lines of an image.

    Parameters
    ----------
    pulls : ndarray of float32
        From `binned_pulls`; negative to find what is faint.
    shape : tuple of int
        (ny, nx).
    """
    areas = find_streaks(pulls >= _LOW, side=_SIDE, min_filled=_FILLED)
    if not areas:
        return places(np.zeros((0, 0), bool))
    return places(count_areas(areas, shape) > 0)


def stronger_sign(pulls: NDArray[np.float32]) -> int:
    """Return the sign of what stands out most."""
    if not pulls.size:
        return 1
    tail = int(_TAIL * pulls.size)
    depth, height = (
        -np.partition(sign * pulls.ravel(), tail)[tail] for sign in (1, -1)
    )
    return 1 if height >= depth else -1


@compiled
def _fill_pulls(
    image: NDArray[np.float32],
    variance: NDArray[np.float32],
    mask: NDArray[np.int32],
    exclude: np.int32,
    pulls: NDArray[np.float32],
) -> None:
    """Fill in the pulls of squares; those that the border cuts are left out."""
    height, width = pulls.shape
    flux = np.empty(width * _SIDE, np.float32)
    power = np.empty(width * _SIDE, np.float32)
    for i in range(height):
        flux[:], power[:] = 0, 0
        for y in range(i * _SIDE, (i + 1) * _SIDE):
            for x in range(len(flux)):
                counts = (mask[y, x] & exclude) == 0
                flux[x] += image[y, x] if counts else np.float32(0)
                power[x] += variance[y, x] if counts else np.float32(0)
        for j in range(width):
            total, square = np.float32(0), np.float32(0)
            for k in range(j * _SIDE, (j + 1) * _SIDE):
                total += flux[k]
                square += power[k]
            pulls[i, j] = total / np.sqrt(square) if square > 0 else np.float32(0)
