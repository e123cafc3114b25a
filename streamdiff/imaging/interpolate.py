"""What to do about pixels that can not be used: fill them in, and mark around them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from streamdiff.imaging.compiled import compiled, inlined
from streamdiff.imaging.places import places
from streamdiff.model.planes import read_only

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
    given = read_only(np.ascontiguousarray(plane, np.float32))
    values, holes = np.empty(given.shape, np.float32), np.empty(given.shape, np.bool_)
    half = [(n + 1) // 2 for n in given.shape]
    means, unknown = np.empty(half, np.float32), np.empty(half, np.bool_)
    unusable = read_only(np.ascontiguousarray(unusable))
    _average_pairs((given, unusable), (values, holes), (means, unknown))
    missing = np.array(places(holes))
    if 0 < missing.shape[1] < holes.size:
        values[tuple(missing)] = ndimage.map_coordinates(
            fill_unusable(means, unknown),
            (missing - 0.5) / 2,
            order=1,
            mode="nearest",
        )
    return values


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
def _average_pairs(
    given: tuple[NDArray[np.float32], NDArray[np.bool_]],
    known: tuple[NDArray[np.float32], NDArray[np.bool_]],
    means: tuple[NDArray[np.float32], NDArray[np.bool_]],
) -> None:
    """Fill in the good pixels, and the means of those of 2 x 2; 0 and True elsewhere.

    Each of the three has values, and where these are none. At the far border of an odd
    side, the same pixels count twice: their mean is the same.
    """
    (values, holes), (coarse, unknown) = known, means
    height, width = values.shape
    for row in range(coarse.shape[0]):
        above, below = 2 * row, min(2 * row + 1, height - 1)
        for y in range(above, below + 1):
            _copy_good(given[0][y], given[1][y], values[y], holes[y])
        lines = values[above], values[below], holes[above], holes[below]
        for x in range(width // 2):
            mean, number = _mean_of_good(lines, 2 * x, 2 * x + 1)
            coarse[row, x], unknown[row, x] = mean, number == 0
        if width % 2:
            mean, number = _mean_of_good(lines, width - 1, width - 1)
            coarse[row, -1], unknown[row, -1] = mean, number == 0


@inlined
def _copy_good(
    given: NDArray[np.float32],
    unusable: NDArray[np.bool_],
    values: NDArray[np.float32],
    holes: NDArray[np.bool_],
) -> None:
    zero, infinite = np.float32(0), np.float32(np.inf)
    for x in range(len(values)):
        # No comparison with NaN is true; without branches, pixels go in groups.
        good = (abs(given[x]) < infinite) & (not unusable[x])
        holes[x] = not good
        values[x] = given[x] if good else zero


@inlined
def _mean_of_good(
    lines: tuple[NDArray[np.float32], ...], left: int, right: int
) -> tuple[np.float32, int]:
    """Return the mean of the good ones of 2 x 2 pixels, and their number."""
    a, b, no_a, no_b = lines
    total = a[left] + a[right] + b[left] + b[right]
    number = 4 - (no_a[left] + no_a[right] + no_b[left] + no_b[right])
    return total / np.float32(max(number, 1)), number


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
