"""What to do about pixels that can not be used: fill them in, and mark around them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from streamdiff.imaging.compiled import compiled

# Pixels that are looked at together: most have no bits.
_RUN = 64


def fill_unusable(
    plane: NDArray[Any], unusable: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return an image whose unusable pixels are interpolated from good ones.

    Parameters
    ----------
    plane : ndarray, shape (ny, nx)
    unusable : ndarray of bool, shape (ny, nx)
        True where a pixel is to be replaced; NaN and infinite ones always are.

    Returns
    -------
    ndarray of float32, shape (ny, nx)
        Finite everywhere; 0 if no pixel is good.

    Notes
    -----
    Averages of the good pixels of 2 x 2 blocks make the image of half the size,
    whose own holes are filled the same way; unusable pixels take its bilinear
    interpolation. So a hole is filled on the scale of its size, and no value lies
    outside the range of the good ones: nothing rings. (The pull-push scheme of
    Gortler et al. 1996, SIGGRAPH '96, 43.)
    """
    values = np.array(plane, np.float32)
    good = np.empty(values.shape, np.bool_)
    _blank(values, unusable, good)
    return _fill(values, good)


def core_radius(kernel: NDArray[Any], *, fraction: float = 0.9) -> float:
    """Return the radius [pixel] of the core of a kernel.

    The core is the smallest disc around the middle pixel that holds ``fraction``
    of the sum of absolute values. With 0.9, the core of a Gaussian ends at 2.1
    sigma, where the kernel has dropped to a tenth of its peak: a tenth of the error
    of an interpolated pixel is left to share among all pixels beyond.
    """
    size = np.abs(np.asarray(kernel, float))
    radius = _radii(size.shape)
    order = np.argsort(radius, axis=None, kind="stable")
    held = np.cumsum(size.flat[order])
    last = np.searchsorted(held, fraction * held[-1] * (1 - 1e-12))
    return float(radius.flat[order[min(int(last), order.size - 1)]])


def dilate_by_disc(plane: NDArray[np.bool_], radius: float) -> NDArray[np.bool_]:
    """Return True within a radius [pixel] of every True pixel.

    The cost grows with the length of the outlines, not with their areas.
    """
    dilated = np.zeros(plane.shape, np.bool_)
    _draw_discs(plane.view(np.uint8), 1, disc_rows(radius), dilated.view(np.uint8))
    return dilated


def dilate_by_square(plane: NDArray[np.bool_], half: int) -> NDArray[np.bool_]:
    """Return True up to ``half`` rows and columns away from every True pixel."""
    dilated = plane.copy()
    for axis in (0, 1):
        source = np.moveaxis(dilated.copy(), axis, 0)
        target = np.moveaxis(dilated, axis, 0)
        for shift in range(1, min(half, len(source) - 1) + 1):
            target[shift:] |= source[:-shift]
            target[:-shift] |= source[shift:]
    return dilated


def dilate_bits_by_disc(
    mask: NDArray[np.int32], growing: int, radius: float
) -> NDArray[np.int32]:
    """Return a mask with bits set within a radius [pixel] of where they are set.

    Parameters
    ----------
    mask : ndarray of int32, shape (ny, nx)
    growing : int
        The bits that grow; others stay as they are.
    radius : float
    """
    dilated = np.zeros(mask.shape, np.int32)
    _draw_discs(mask, growing, disc_rows(radius), dilated)
    return dilated


@compiled
def _blank(
    values: NDArray[np.float32],
    unusable: NDArray[np.bool_],
    good: NDArray[np.bool_],
) -> None:
    """Fill in which pixels are good, and set the others to 0."""
    for row in range(values.shape[0]):
        for column in range(values.shape[1]):
            usable = np.isfinite(values[row, column]) and not unusable[row, column]
            good[row, column] = usable
            if not usable:
                values[row, column] = 0


def _fill(values: NDArray[np.float32], good: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return values, 0 where not good, with these pixels filled in place."""
    missing = np.flatnonzero(~good)
    if missing.size in {0, good.size}:
        return values
    holes = np.array(np.unravel_index(missing, good.shape))
    shape = [(n + 1) // 2 for n in values.shape]
    coarse, known = np.empty(shape, np.float32), np.empty(shape, np.bool_)
    _average_blocks(values, good, coarse, known)
    _fill(coarse, known)
    values.flat[missing] = ndimage.map_coordinates(
        coarse, (holes - 0.5) / 2, order=1, mode="nearest"
    )
    return values


@compiled
def _average_blocks(
    values: NDArray[np.float32],
    good: NDArray[np.bool_],
    coarse: NDArray[np.float32],
    known: NDArray[np.bool_],
) -> None:
    """Fill in the means of the good pixels of 2 x 2, and where there are any.

    Values are 0 where they are not good. At the far border of an odd side, the same
    pixels count twice: their mean is the same.
    """
    height, width = values.shape
    for row in range(coarse.shape[0]):
        above, below = 2 * row, min(2 * row + 1, height - 1)
        for column in range(coarse.shape[1]):
            left, right = 2 * column, min(2 * column + 1, width - 1)
            total = values[above, left] + values[above, right]
            total += values[below, left] + values[below, right]
            number = np.float32(good[above, left]) + np.float32(good[above, right])
            number += np.float32(good[below, left]) + np.float32(good[below, right])
            coarse[row, column] = total / max(number, np.float32(1))
            known[row, column] = number > 0


def disc_rows(radius: float) -> NDArray[np.intp]:
    """Return half the widths of the rows of a disc, without their middles."""
    reach = int(radius)
    discs: NDArray[np.bool_] = _radii((2 * reach + 1, 2 * reach + 1)) <= radius
    half: NDArray[np.intp] = discs.sum(axis=1) // 2
    return half


@compiled
def _draw_discs(
    bits: NDArray[Any], growing: int, disc: NDArray[np.intp], drawn: NDArray[Any]
) -> None:
    """Set the growing bits of pixels on an outline in a disc around them."""
    height, width = bits.shape
    reach = len(disc) // 2
    for y in range(height):
        for start in range(0, width, _RUN):
            run, n_set = bits[y, start : start + _RUN], 0
            for k in range(len(run)):
                n_set += run[k] != 0
            for x in range(start, start + len(run) if n_set else start):
                if not bits[y, x]:
                    continue
                drawn[y, x] |= bits[y, x]
                here = bits[y, x] & growing
                inner = here & bits[max(y - 1, 0), x] & bits[min(y + 1, height - 1), x]
                inner &= bits[y, max(x - 1, 0)] & bits[y, min(x + 1, width - 1)]
                if inner == here:
                    continue
                for row in range(max(y - reach, 0), min(y + reach + 1, height)):
                    half = disc[row - y + reach]
                    for column in range(max(x - half, 0), min(x + half + 1, width)):
                        drawn[row, column] |= here


def _radii(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return distances from the middle pixel; shape (ky, kx)."""
    y, x = np.indices(shape, dtype=float)
    radii: NDArray[np.float64] = np.hypot(y - shape[0] // 2, x - shape[1] // 2)
    return radii
