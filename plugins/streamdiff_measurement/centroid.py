"""Positions on the image and on the sky, with their uncertainties."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from streamdiff.model import Column, DiaSources
from streamdiff.stages import Images
from streamdiff_measurement.position import (
    POSITION_COLUMNS,
    FittedPosition,
    measured,
)
from streamdiff_measurement.sky import sky_positions, tangent_jacobian

_COLUMNS = (
    Column("ra", "f8", "deg", "Right ascension, ICRS"),
    Column("dec", "f8", "deg", "Declination, ICRS"),
    Column("raErr", "f4", "deg", "Uncertainty of ra, not times the cosine of dec"),
    Column("decErr", "f4", "deg", "Uncertainty of dec"),
    Column("ra_dec_Cov", "f4", "deg2", "Covariance of ra and dec"),
    Column("centroid_flag", "?", "", "Whether x, y are of the peak: no fit succeeded"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Centroid(FittedPosition):
    """Position of a point source on the difference, and its sky coordinates.

    Attributes
    ----------
    max_shift : float
        Farthest distance of the position from the detected one [pixel].
    exclude : tuple of str
        Mask planes whose pixels take no part.
    """

    @property
    def columns(self) -> tuple[Column, ...]:
        """Return the columns that `measure` fills."""
        return (*POSITION_COLUMNS, *_COLUMNS)

    def measure(
        self, sources: DiaSources, images: Images
    ) -> Mapping[str, NDArray[Any]]:
        """Return positions; those that `psf_flux` has fitted are not fitted again."""
        position = measured(sources) or self.fit(sources, images)
        x, y = position["x"], position["y"]
        ra, dec = sky_positions(images.difference.wcs, x, y)
        jacobian = _jacobian(images.difference.wcs, x, y)
        covariance = jacobian @ _covariance(position) @ jacobian.swapaxes(1, 2)
        return {
            **position,
            "ra": ra,
            "dec": dec,
            "raErr": np.sqrt(covariance[:, 0, 0]),
            "decErr": np.sqrt(covariance[:, 1, 1]),
            "ra_dec_Cov": covariance[:, 0, 1],
            "centroid_flag": np.isnan(position["xErr"]),
        }


def _jacobian(
    wcs: WCS, x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return derivatives of (ra, dec) by (x, y) [deg / pixel]; shape (n, 2, 2)."""
    jacobian = tangent_jacobian(wcs, x, y)
    _, dec = sky_positions(wcs, x, y)
    jacobian[:, 0] /= np.cos(np.radians(dec))[:, np.newaxis]
    return jacobian


def _covariance(position: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
    """Return covariances of (x, y); shape (n, 2, 2)."""
    covariance = np.empty((len(position["x"]), 2, 2))
    covariance[:, 0, 0] = np.asarray(position["xErr"], float) ** 2
    covariance[:, 1, 1] = np.asarray(position["yErr"], float) ** 2
    covariance[:, 0, 1] = covariance[:, 1, 0] = position["x_y_Cov"]
    return covariance
