"""What is missing of a star in a circle, as a function of the position."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator

from streamdiff.errors import InvalidExposureError
from streamdiff.model.planes import read_only


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ApertureCorrections:
    """Factors that make fluxes within a circle those of whole stars.

    Attributes
    ----------
    radius : float
        Of the circle around the star [pixel].
    values : ndarray of float64, shape (gy, gx)
        At the nodes of a grid; at least 1.
    x, y : ndarray of float64, shape (gx,) and (gy,)
        Positions of the nodes [pixel], increasing, at least two along each axis.

    Raises
    ------
    InvalidExposureError
        If shapes do not fit, or a value is not finite.
    """

    radius: float
    values: NDArray[np.float64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.values.shape != (self.y.size, self.x.size):
            raise InvalidExposureError(
                f"aperture corrections {self.values.shape} do not fit "
                f"{self.y.size} x {self.x.size} nodes"
            )
        if not np.isfinite(self.values).all():
            raise InvalidExposureError("aperture corrections must be finite")
        for name in ("values", "x", "y"):
            object.__setattr__(self, name, read_only(getattr(self, name)))

    def at(self, x: float, y: float) -> float:
        """Return the factor at a position, bilinear; beyond the grid, of its border."""
        inside = (
            np.clip(y, self.y[0], self.y[-1]),
            np.clip(x, self.x[0], self.x[-1]),
        )
        return float(RegularGridInterpolator((self.y, self.x), self.values)(inside))
