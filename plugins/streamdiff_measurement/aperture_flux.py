"""The flux within a circle on the difference."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, pi
from typing import Annotated, Any

import numpy as np
import sep
from annotated_types import Gt, Le
from numpy.typing import NDArray

from streamdiff.imaging.stamps import (
    batches,
    cut_stamps,
    nearest_pixels,
    psf_stamps,
    resized_stamps,
)
from streamdiff.model import Column, DiaSources, Difference
from streamdiff.stages import Images
from streamdiff_measurement.good_pixels import GoodPixels

_COLUMNS = (
    Column("apFlux", "f4", "nJy", "Flux within a circle around x, y, made whole"),
    Column("apFluxErr", "f4", "nJy", "Uncertainty of apFlux"),
    Column("apFlux_flag", "?", "", "Whether there is no apFlux"),
    Column("apFlux_flag_apertureTruncated", "?", "", "Whether pixels are missing"),
)
# Of a source with less of its PSF in the circle, most would be extrapolated.
_MIN_FRACTION = 0.5
_COMPLETE = 0.999


@dataclass(frozen=True, slots=True, kw_only=True)
class ApertureFlux(GoodPixels):
    """Flux within a circle, with exact fractions of pixels.

    Attributes
    ----------
    radius : float
        Radius of the circle [pixel].
    exclude : tuple of str
        Mask planes whose pixels take no part.
    """

    radius: Annotated[float, Gt(0), Le(100)] = 12.0

    @property
    def columns(self) -> tuple[Column, ...]:
        """Return the columns that `measure` fills."""
        return _COLUMNS

    def measure(
        self, sources: DiaSources, images: Images
    ) -> Mapping[str, NDArray[Any]]:
        """Return fluxes, divided by the part of the PSF that was summed.

        The correction is for what is outside the circle and for pixels that can
        not be used. It is right for point sources.
        """
        x, y = sources["x"], sources["y"]
        parts = [
            self._measured(images.difference, x[part], y[part])
            for part in batches(len(sources))
        ]
        return {
            column.name: np.concatenate([part[column.name] for part in parts])
            for column in _COLUMNS
        }

    def _measured(
        self, difference: Difference, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> dict[str, NDArray[Any]]:
        side = 2 * ceil(self.radius) + 3
        stamps = cut_stamps(difference, x, y, (side, side), exclude=self.excluded)
        psf = resized_stamps(psf_stamps(difference.psf, x, y), side)

        column, row = nearest_pixels(x, y)
        centre = side // 2 + x - column, side // 2 + y - row
        flux, variance, fraction, area = (
            _sum_circles(plane, *centre, self.radius)
            for plane in (
                stamps.image,
                stamps.variance,
                np.where(stamps.usable, psf, 0),
                stamps.usable.astype(float),
            )
        )
        fraction = np.where(fraction >= _MIN_FRACTION, fraction, np.nan)
        return {
            "apFlux": flux / fraction,
            "apFluxErr": np.sqrt(stamps.covariance_factor * variance) / fraction,
            "apFlux_flag": np.isnan(fraction),
            "apFlux_flag_apertureTruncated": area < _COMPLETE * pi * self.radius**2,
        }


def _sum_circles(
    stamps: NDArray[np.float64],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    radius: float,
) -> NDArray[np.float64]:
    """Return the sums of stamps, shape (n, side, side), within circles on each."""
    n, side, _ = stamps.shape
    if n == 0:
        return np.zeros(0)
    column_of_stamps = np.ascontiguousarray(stamps.reshape(n * side, side))
    below = side * np.arange(n)
    total, _, _ = sep.sum_circle(column_of_stamps, x, y + below, radius, subpix=0)
    return np.asarray(total, float)
