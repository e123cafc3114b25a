"""What to do about pixels that can not be used: fill them in, and mark around them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


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
    good = np.isfinite(plane) & ~unusable
    values = np.array(plane, np.float32)
    values[~good] = 0
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
    dilated: NDArray[np.bool_] = plane.copy()
    y, x = np.nonzero(_outline(plane))
    reach = int(radius)
    discs = _radii((2 * reach + 1, 2 * reach + 1)) <= radius
    for dy, dx in np.argwhere(discs) - reach:
        row, column = y + dy, x + dx
        inside = (row >= 0) & (row < plane.shape[0])
        inside &= (column >= 0) & (column < plane.shape[1])
        dilated[row[inside], column[inside]] = True
    return dilated


def _fill(values: NDArray[np.float32], good: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return values, 0 where not good, with these pixels filled in place."""
    if good.all() or not good.any():
        return values
    number = _sum_blocks(good.astype(np.float32))
    mean = _sum_blocks(values)
    mean /= np.maximum(number, 1)
    coarse = _fill(mean, number > 0)
    holes = np.argwhere(~good).T
    values[tuple(holes)] = ndimage.map_coordinates(
        coarse, (holes - 0.5) / 2, order=1, mode="nearest"
    )
    return values


def _sum_blocks(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the sums of 2 x 2 pixels; a last odd row or column is alone."""
    ny, nx = plane.shape
    even = np.pad(plane, ((0, ny % 2), (0, nx % 2)))
    total: NDArray[np.float32] = even[::2, ::2] + even[1::2, ::2]
    total += even[::2, 1::2]
    total += even[1::2, 1::2]
    return total


def _outline(plane: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return True on pixels of a set that have a neighbour outside it."""
    inner = plane.copy()
    inner[1:] &= plane[:-1]
    inner[:-1] &= plane[1:]
    inner[:, 1:] &= plane[:, :-1]
    inner[:, :-1] &= plane[:, 1:]
    return plane & ~inner


def _radii(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return distances from the middle pixel; shape (ky, kx)."""
    y, x = np.indices(shape, dtype=float)
    radii: NDArray[np.float64] = np.hypot(y - shape[0] // 2, x - shape[1] // 2)
    return radii
