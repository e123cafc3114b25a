"""The value of the nearest pixel: a beginning."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamdiff.hookspecs import hookimpl
from streamdiff.model import Column, DiaSources, MaskPlane
from streamdiff.stages import Images, Measurer

# Names, units and sentences go into alerts and tables as they are here.
_COLUMNS = (
    Column("peakFlux", "f4", "nJy", "Value of the pixel at the position"),
    Column("peakFluxErr", "f4", "nJy", "Its standard deviation"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mine:
    """Measures the pixel that each DiaSource is on."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """Return the columns that `measure` fills."""
        return _COLUMNS

    def measure(
        self, sources: DiaSources, images: Images
    ) -> Mapping[str, NDArray[Any]]:
        """Return one array per column, NaN where there are no data."""
        difference = images.difference
        row = np.rint(sources["y"]).astype(int)
        column = np.rint(sources["x"]).astype(int)
        missing = MaskPlane.NO_DATA.in_mask(difference.mask[row, column])
        flux = np.where(missing, np.nan, difference.image[row, column])
        variance = np.where(missing, np.nan, difference.variance[row, column])
        return {"peakFlux": flux, "peakFluxErr": np.sqrt(variance)}


@hookimpl
def streamdiff_measurers() -> Mapping[str, Callable[..., Measurer]]:
    """Offer ``mine``."""
    return {"mine": Mine}
