"""The levels of the skies of epochs, relative to what they have in common."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from streamdiff.imaging.cell_medians import cell_medians
from streamdiff_coadd.pixel_loops import medians

# Of pixels that are correlated, every second one along each axis tells enough.
_THIN = (slice(None), slice(None, None, 2), slice(None, None, 2))
# A cell of which less is usable takes the level of its neighbour.
_LEAST_USABLE = 0.1


def remove_levels(images: NDArray[np.float32], cell: int) -> None:
    """Bring the skies of epochs to one level, in place.

    An error of the sky subtraction changes slowly, over many sources, which an
    artifact does not.

    Parameters
    ----------
    images : ndarray of float32, shape (n, n_rows, nx)
        NaN where they are not usable.
    cell : int
        Distance over which a level may change [pixel].
    """
    thin = np.ascontiguousarray(images[_THIN])
    shape = thin.shape[1:]
    common, n_usable = np.empty(shape, np.float32), np.empty(shape, np.uint16)
    medians(thin, common, n_usable)
    rows, columns = (max(round(n / cell), 1) for n in images.shape[1:])
    for number, epoch in enumerate(thin):
        levels = cell_medians(epoch - common, (rows, columns), least=_LEAST_USABLE)
        if np.isfinite(levels).any():
            images[number] -= _interpolated(_robust(levels), images.shape[1:])


def _robust(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the levels of cells without what single cells show."""
    missing = ~np.isfinite(levels)
    nearest = ndimage.distance_transform_edt(
        missing, return_distances=False, return_indices=True
    )
    filled = levels[tuple(nearest)]
    # Of two neighbours, none is the odd one out.
    size = tuple(3 if n >= 3 else 1 for n in levels.shape)
    robust: NDArray[np.float64] = ndimage.median_filter(filled, size, mode="nearest")
    return robust


def _interpolated(
    levels: NDArray[np.float64], shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """Return the levels of cells at every pixel, linear between their centres."""
    rows, columns = (
        _weights(n, size) for n, size in zip(levels.shape, shape, strict=True)
    )
    image: NDArray[np.float32] = (rows @ levels @ columns.T).astype(np.float32)
    return image


def _weights(n_cells: int, size: int) -> NDArray[np.float64]:
    """Return what each cell adds at each pixel of an axis; shape (size, n_cells).

    Beyond the outer centres the change goes on: a slope is a slope to its end.
    """
    if n_cells == 1:
        return np.ones((size, 1))
    at = (np.arange(size) + 0.5) / size * n_cells - 0.5
    low = np.clip(at.astype(np.int64), 0, n_cells - 2)
    weights, pixels = np.zeros((size, n_cells)), np.arange(size)
    weights[pixels, low] = low + 1 - at
    weights[pixels, low + 1] = at - low
    return weights
