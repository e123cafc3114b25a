"""Streaks: what crosses most of the image in a straight line, at any angle."""

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.outline import count_areas
from streamdiff.imaging.streaks import find_streaks

# Pixels are added up in squares: about the width of a PSF, the least of a streak.
_SIDE = 4
# A streak may be nowhere significant: that a line is full of squares that exceed this
# [sigma], one in 44 of noise, tells it.
_LOW = 2.0
_FILLED = 0.5
_TAIL = 0.01


def binned_pulls(
    image: NDArray[np.float32], variance: NDArray[np.float32], good: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return the significance of squares of pixels, 0 where none counts.

    Parameters
    ----------
    image, variance : ndarray of float32, shape (ny, nx)
        Of white noise, of level 0.
    good : ndarray of bool, shape (ny, nx)
        Pixels that count.
    """
    flux, power = (_in_squares(np.where(good, p, 0)) for p in (image, variance))
    return np.divide(flux, np.sqrt(power), out=np.zeros_like(flux), where=power > 0)


def find_streak_pixels(
    pulls: NDArray[np.float32], shape: tuple[int, int]
) -> NDArray[np.bool_]:
    """Return True on stripes along bright straight lines of an image of a shape.

    Parameters
    ----------
    pulls : ndarray of float32
        From `binned_pulls`; negative to find what is faint.
    shape : tuple of int
        (ny, nx).
    """
    detected = np.zeros(shape, bool)
    whole = np.repeat(np.repeat(pulls >= _LOW, _SIDE, axis=0), _SIDE, axis=1)
    detected[: whole.shape[0], : whole.shape[1]] = whole
    areas = find_streaks(detected, min_filled=_FILLED)
    if not areas:
        return np.zeros(shape, bool)
    return np.asarray(count_areas(areas, shape) > 0)


def stronger_sign(pulls: NDArray[np.float32]) -> int:
    """Return the sign of what stands out most."""
    low, high = np.quantile(pulls, [_TAIL, 1 - _TAIL]) if pulls.size else (0, 0)
    return 1 if high >= -low else -1


def _in_squares(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the sums over squares; those that the border cuts are left out."""
    height, width = (n // _SIDE for n in plane.shape)
    whole = plane[: height * _SIDE, : width * _SIDE]
    # Rows first, which lie side by side in memory.
    rows = whole.reshape(height, _SIDE, width * _SIDE).sum(axis=1)
    squares = rows.reshape(height, width, _SIDE)
    sums: NDArray[np.float32] = np.add.reduce(
        [squares[..., k] for k in range(_SIDE)], axis=0
    )
    return sums
