"""Many stamps at once: cut out, shift by fractions of a pixel, put back."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.compiled import compiled
from streamdiff.imaging.stamps import nearest_pixels
from streamdiff.model import MaskPlane
from streamdiff.model.psf import shift_matrix

# Lobes of the window that keeps the borders and defects of a stamp local.
_LOBES = 5

Stamps = NDArray[np.float64]
Positions = NDArray[np.float64]


def cut_out(
    plane: NDArray[np.generic], x: Positions, y: Positions, half: int
) -> Stamps:
    """Return the squares around positions, shape (n, side, side); 0 outside."""
    column, row = nearest_pixels(x, y)
    stamps = np.zeros((column.size, 2 * half + 1, 2 * half + 1))
    _copy(plane, row - half, column - half, stamps)
    return stamps


def add_stamps(
    plane: NDArray[np.float64], stamps: Stamps, x: Positions, y: Positions
) -> None:
    """Add stamps to a plane in place; parts outside are dropped."""
    column, row = nearest_pixels(x, y)
    _, ky, kx = stamps.shape
    _add(plane, row - ky // 2, column - kx // 2, stamps)


def touches(
    mask: NDArray[np.int32], planes: MaskPlane, x: Positions, y: Positions, half: int
) -> NDArray[np.bool_]:
    """Return whether any of some planes is set in the squares around positions."""
    column, row = nearest_pixels(x, y)
    touched = np.zeros(column.size, np.bool_)
    _touch(mask, np.int32(planes), row, column, half, touched)
    return touched


def fraction(position: Positions) -> Positions:
    """Return the offset of positions from the centres of their pixels."""
    return position - np.floor(position + 0.5)


def shift_profiles(stamps: Stamps, dx: Positions, dy: Positions) -> Stamps:
    """Return PSFs shifted to larger column and row, as `Psf.at` shifts them."""
    along_y = shift_matrix(stamps.shape[1], dy)
    along_x = shift_matrix(stamps.shape[2], dx)
    shifted: Stamps = along_y @ stamps @ along_x.transpose(0, 2, 1)
    return shifted


def shift_pixels(stamps: Stamps, dx: Positions, dy: Positions) -> Stamps:
    """Return stamps of an image shifted to larger column and row (Lanczos)."""
    along_y = _lanczos_matrix(stamps.shape[1], dy)
    along_x = _lanczos_matrix(stamps.shape[2], dx)
    shifted: Stamps = along_y @ stamps @ along_x.transpose(0, 2, 1)
    return shifted


def gradients(stamps: Stamps) -> tuple[Stamps, Stamps]:
    """Return the derivatives of stamps by column and by row."""
    by_row, by_column = np.gradient(stamps, axis=(1, 2))
    return np.asarray(by_column, float), np.asarray(by_row, float)


def _lanczos_matrix(side: int, shift: Positions) -> Stamps:
    index = np.arange(side)
    distance = np.subtract.outer(index, index) - shift[:, np.newaxis, np.newaxis]
    weight: Stamps = np.sinc(distance) * np.sinc(distance / _LOBES)
    weight[np.abs(distance) >= _LOBES] = 0
    return weight


@compiled
def _copy(
    plane: NDArray[Any],
    top: NDArray[np.intp],
    left: NDArray[np.intp],
    stamps: Stamps,
) -> None:
    height, width = plane.shape
    n, ky, kx = stamps.shape
    for i in range(n):
        for y in range(max(top[i], 0), min(top[i] + ky, height)):
            for x in range(max(left[i], 0), min(left[i] + kx, width)):
                stamps[i, y - top[i], x - left[i]] = plane[y, x]


@compiled
def _add(
    plane: NDArray[np.float64],
    top: NDArray[np.intp],
    left: NDArray[np.intp],
    stamps: Stamps,
) -> None:
    height, width = plane.shape
    n, ky, kx = stamps.shape
    for i in range(n):
        for y in range(max(top[i], 0), min(top[i] + ky, height)):
            for x in range(max(left[i], 0), min(left[i] + kx, width)):
                plane[y, x] += stamps[i, y - top[i], x - left[i]]


@compiled
def _touch(
    mask: NDArray[np.int32],
    bits: np.int32,
    row: NDArray[np.intp],
    column: NDArray[np.intp],
    half: int,
    touched: NDArray[np.bool_],
) -> None:
    height, width = mask.shape
    for i in range(len(touched)):
        left, right = max(column[i] - half, 0), min(column[i] + half + 1, width)
        for y in range(max(row[i] - half, 0), min(row[i] + half + 1, height)):
            found = np.int32(0)
            for x in range(left, right):
                found |= mask[y, x] & bits
            if found != 0:
                touched[i] = True
                break
