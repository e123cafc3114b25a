"""Single cutouts: as a picture in a chosen scale, and as values."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.visualization import ZScaleInterval
from numpy.typing import NDArray

from streamdiff.app.pages.pictures import gray, png

# zscale (Tody & Davis) shows the sky; minmax all values; symmetric has 0 at mid-gray.
SCALES = ("zscale", "minmax", "symmetric")
ZOOMS = (2, 4, 6, 8, 12)
_DIGITS = 5


@dataclass(frozen=True, slots=True, eq=False)
class Stamp:
    """One cutout of an alert.

    Attributes
    ----------
    image : ndarray of float64, shape (ny, nx)
        NaN where there are no data.
    """

    image: NDArray[np.float64]

    def png(self, scale: str) -> bytes:
        """Return the picture, pixel for pixel, in one of `SCALES`."""
        return png(gray(self.image, *self._limits(scale)))

    def values(self) -> dict[str, Any]:
        """Return the values as JSON can hold them, the first row at the bottom."""
        ny, nx = self.image.shape
        rows = [[_short(v) for v in row] for row in self.image.tolist()]
        return {"width": nx, "height": ny, "values": rows}

    def summary(self) -> str:
        """Return the extremes and the median in words."""
        known = self._known()
        if not known.size:
            return "no data"
        low, middle, high = known.min(), np.median(known), known.max()
        return f"min {low:.4g}, median {middle:.4g}, max {high:.4g}"

    def _limits(self, scale: str) -> tuple[float, float]:
        known = self._known()
        if not known.size:
            return 0.0, 1.0
        if scale == "minmax":
            return float(known.min()), float(known.max())
        if scale == "symmetric":
            most = float(np.abs(known).max())
            return -most, most
        low, high = ZScaleInterval().get_limits(known)
        return float(low), float(high)

    def _known(self) -> NDArray[np.float64]:
        return self.image[np.isfinite(self.image)]


def _short(value: float) -> float | None:
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
