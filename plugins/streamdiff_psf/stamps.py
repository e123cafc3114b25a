"""Many stamps at once: cut out, shift by fractions of a pixel, put back."""

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.stamps import pixels_around
from streamdiff.model.psf import shift_matrix

# Lobes of the window that keeps the borders and defects of a stamp local.
_LOBES = 5

Stamps = NDArray[np.float64]
Positions = NDArray[np.float64]


def cut_out(
    plane: NDArray[np.generic], x: Positions, y: Positions, half: int
) -> Stamps:
    """Return the squares around positions, shape (n, side, side); 0 outside."""
    side = 2 * half + 1
    ny, nx = plane.shape
    pixels, inside = pixels_around((ny, nx), x, y, (side, side))
    return np.where(inside, plane[pixels], 0).astype(float)


def add_stamps(
    plane: NDArray[np.float64], stamps: Stamps, x: Positions, y: Positions
) -> None:
    """Add stamps to a plane in place; parts outside are dropped."""
    ny, nx = plane.shape
    _, ky, kx = stamps.shape
    (rows, columns), inside = pixels_around((ny, nx), x, y, (ky, kx))
    flat = (rows * nx + columns)[inside]
    plane += np.bincount(flat, stamps[inside], plane.size).reshape(plane.shape)


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
