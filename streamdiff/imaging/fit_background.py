"""The smooth part of what is left of the sky of two images in their difference."""

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.cell_medians import cell_medians
from streamdiff.imaging.noise import SIGMA_PER_MAD
from streamdiff.model.field import field_terms, n_field_terms

# Side of the boxes whose medians are fitted [pixel], and the least fraction of
# their pixels that counts.
_BOX, _MIN_USABLE = 64, 0.2
# Large images have boxes enough to use every second or fourth row and column alone.
_ROWS_PER_STEP, _MAX_STEP = 1024, 4
_BOXES_PER_TERM = 3
_CLIP, _PASSES = 3.0, 3


def fit_background(
    difference: NDArray[np.float32], usable: NDArray[np.bool_], order: int
) -> NDArray[np.float64]:
    """Return the coefficients of the smooth part of a difference.

    Parameters
    ----------
    difference : ndarray of float32, shape (ny, nx)
        Static sources are gone from it: crowding does not matter.
    usable : ndarray of bool, shape (ny, nx)
        Pixels that count.
    order : int
        Of the polynomial; lowered where boxes are few.

    Returns
    -------
    ndarray of float64, shape (n_terms,)
        Of the terms of `streamdiff.model.field.field_terms`; a 0 where no box
        counts.
    """
    thin = thinned(difference.shape)
    return fit_thinned(difference[thin], usable[thin], order, difference.shape)


def thinned(shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Return the rows and columns of an image that tell its background."""
    step = int(np.clip(min(shape) // _ROWS_PER_STEP, 1, _MAX_STEP))
    return slice(None, None, step), slice(None, None, step)


def fit_thinned(
    difference: NDArray[np.float32],
    usable: NDArray[np.bool_],
    order: int,
    shape: tuple[int, int],
) -> NDArray[np.float64]:
    """Return what `fit_background` does, from the rows and columns that it uses.

    Parameters
    ----------
    difference : ndarray of float32
        Of `thinned` rows and columns, as is ``usable``.
    usable : ndarray of bool
    order : int
    shape : tuple of int
        (ny, nx) of the whole.
    """
    x, y, level = _box_medians(np.where(usable, difference, np.float32(np.nan)), shape)
    while order > 0 and len(level) < _BOXES_PER_TERM * n_field_terms(order):
        order -= 1
    if not len(level):
        return np.zeros(1)
    terms = field_terms(x, y, order, shape).T
    used = np.ones(len(level), bool)
    for _ in range(_PASSES):
        solution = np.linalg.lstsq(terms[used], level[used], rcond=None)[0]
        residual = np.abs(level - terms @ solution)
        spread = SIGMA_PER_MAD * np.median(residual[used])
        used = residual <= max(_CLIP * spread, np.min(residual))
    return np.asarray(solution, float)


def _box_medians(
    values: NDArray[np.float32], shape: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the middles x and y of boxes, and the medians of thinned values there."""
    step = thinned(shape)[0].step
    count = [max(1, round(n / _BOX)) for n in shape]
    level = cell_medians(values, (count[0], count[1]), least=_MIN_USABLE)
    # Boxes have ceil(n / count) of the pixels that are used.
    y, x = (
        step * (-(-n // c) * (np.arange(c) + 0.5) - 0.5)
        for n, c in zip(values.shape, count, strict=True)
    )
    rows, columns = np.nonzero(np.isfinite(level))
    return x[columns], y[rows], level[rows, columns]
