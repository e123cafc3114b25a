"""What is left of the sky of two images in their difference."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from streamdiff.model.field import field_terms, n_field_terms

# Side of the boxes whose medians are fitted [pixel], and the least fraction of
# their pixels that counts.
_BOX, _MIN_USABLE = 64, 0.2
_BOXES_PER_TERM = 3
_CLIP, _PASSES, _SIGMA_PER_MAD = 3.0, 3, 1.4826


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
    x, y, level = _box_medians(difference, usable)
    while order > 0 and len(level) < _BOXES_PER_TERM * n_field_terms(order):
        order -= 1
    if not len(level):
        return np.zeros(1)
    terms = field_terms(x, y, order, difference.shape).T
    used = np.ones(len(level), bool)
    for _ in range(_PASSES):
        solution = np.linalg.lstsq(terms[used], level[used], rcond=None)[0]
        residual = np.abs(level - terms @ solution)
        spread = _SIGMA_PER_MAD * np.median(residual[used])
        used = residual <= max(_CLIP * spread, np.min(residual))
    return np.asarray(solution, float)


def _box_medians(
    plane: NDArray[np.float32], usable: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the middles x and y of boxes, and the medians of the plane there."""
    rows, columns = (
        np.linspace(0, n, max(1, round(n / _BOX)) + 1).astype(int) for n in plane.shape
    )
    found = []
    for bottom, top in pairwise(rows):
        for left, right in pairwise(columns):
            box = np.s_[bottom:top, left:right]
            good = usable[box]
            if good.mean() >= _MIN_USABLE:
                middle = (left + right - 1) / 2, (bottom + top - 1) / 2
                found.append((*middle, float(np.median(plane[box][good]))))
    x, y, level = np.array(found, float).reshape(-1, 3).T
    return x, y, level
