"""Positions of point sources on the difference: for more than one measurer."""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from annotated_types import Gt
from numpy.typing import NDArray

from streamdiff.imaging.point_source import fit_positions
from streamdiff.model import Column, DiaSources
from streamdiff.stages import Images
from streamdiff_measurement.good_pixels import GoodPixels

POSITION_COLUMNS = (
    Column("x", "f8", "pix", "Column; 0 is the centre of the first"),
    Column("y", "f8", "pix", "Row; 0 is the centre of the first"),
    Column("xErr", "f4", "pix", "Uncertainty of x"),
    Column("yErr", "f4", "pix", "Uncertainty of y"),
    Column("x_y_Cov", "f4", "pix2", "Covariance of x and y"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedPosition(GoodPixels):
    """A measurer that fits the positions of point sources.

    Attributes
    ----------
    max_shift : float
        Farthest distance of the position from the detected one [pixel].
    """

    max_shift: Annotated[float, Gt(0)] = 1.5

    def fit(self, sources: DiaSources, images: Images) -> dict[str, NDArray[Any]]:
        """Return the values of `POSITION_COLUMNS`, fitted on the difference."""
        found = fit_positions(
            images.difference,
            sources["x"],
            sources["y"],
            exclude=self.excluded,
            max_shift=self.max_shift,
        )
        return {
            "x": found.x,
            "y": found.y,
            "xErr": found.x_error,
            "yErr": found.y_error,
            "x_y_Cov": found.covariance,
        }


def measured(sources: DiaSources) -> dict[str, NDArray[Any]] | None:
    """Return the positions that an earlier measurer has fitted, if one has."""
    names = [column.name for column in POSITION_COLUMNS]
    if not all(name in sources for name in names):
        return None
    return {name: np.asarray(sources[name]) for name in names}
