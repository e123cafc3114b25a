"""PSFs moved by fractions of a pixel, and their derivatives by the shift."""

import numpy as np
from numpy.typing import NDArray

from streamdiff.model.psf import toeplitz

# Second derivatives by differences lose half of the digits: 1e-11 are left.
_STEP = 0.01


class ShiftedPsf:
    """PSFs at shifts, each derivative made when asked for.

    Parameters
    ----------
    psf : ndarray of float64, shape (n, k, k) or (1, k, k)
        Square PSFs on their middle pixels.
    shift : ndarray of float64, shape (n, 2)
        To larger columns and rows [pixel].
    """

    def __init__(self, psf: NDArray[np.float64], shift: NDArray[np.float64]) -> None:
        size = psf.shape[-1]
        self._psf = psf
        self._x = _matrices(size, shift[:, 0])
        self._y = _matrices(size, shift[:, 1])

    def derivative(self, by_x: int, by_y: int) -> NDArray[np.float64]:
        """Return a derivative by the shift, shape (n, k, k)."""
        moved: NDArray[np.float64] = (
            self._y[by_y] @ self._psf @ self._x[by_x].swapaxes(1, 2)
        )
        return moved

    def value_and_slopes(self) -> list[NDArray[np.float64]]:
        """Return the PSFs and their derivatives by x and by y."""
        return [self.derivative(*order) for order in ((0, 0), (1, 0), (0, 1))]

    def curvatures(self) -> list[NDArray[np.float64]]:
        """Return the second derivatives by xx, xy and yy."""
        return [self.derivative(*order) for order in ((2, 0), (1, 1), (0, 2))]


def _matrices(size: int, shift: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return matrices that shift a profile, and their first two derivatives.

    Sinc interpolation, as that of `streamdiff.model.psf.shift_matrix`.
    """
    distance = np.arange(1 - size, size) - shift[:, np.newaxis]
    before, here, after = (np.sinc(distance - h) for h in (-_STEP, 0, _STEP))
    values = (
        here,
        (after - before) / (2 * _STEP),
        (after - 2 * here + before) / _STEP**2,
    )
    return [toeplitz(v) for v in values]
