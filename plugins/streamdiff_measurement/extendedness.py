"""Whether what a DiaSource lies on is larger than a star."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from streamdiff.model import Column, DiaSources
from streamdiff.stages import Images
from streamdiff_measurement.good_pixels import GoodPixels
from streamdiff_measurement.source_moments import (
    psf_moments,
    source_moments,
    typical_fwhm,
)

_COLUMNS = (
    Column(
        "extendedness",
        "f4",
        "",
        "1 - size of the PSF over that of the source on the science image, in 0..1",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Extendedness(GoodPixels):
    """Size of the source on the science image against its PSF.

    Size is the sum of the adaptive moments along both axes: of a source four
    times as large as the PSF by that measure, the extendedness is 0.75.

    Attributes
    ----------
    min_snr : float
        There is no extendedness of fainter sources on the science image [sigma].
    exclude : tuple of str
        Mask planes whose pixels take no part.
    """

    min_snr: Annotated[float, Ge(0)] = 5.0

    @property
    def columns(self) -> tuple[Column, ...]:
        """Return the columns that `measure` fills."""
        return _COLUMNS

    def measure(
        self, sources: DiaSources, images: Images
    ) -> Mapping[str, NDArray[Any]]:
        """Return extendedness, NaN where no source is within a FWHM."""
        x, y, science = sources["x"], sources["y"], images.science
        found = source_moments(
            science,
            x,
            y,
            negative=np.zeros(len(sources), bool),
            exclude=self.excluded,
        )
        xx, yy, _ = psf_moments(science, x, y)
        here = np.hypot(found.x - x, found.y - y) <= typical_fwhm(science)
        here &= (found.snr >= self.min_snr) & (found.snr > 0)
        size = np.where(here, found.xx + found.yy, np.nan)
        return {"extendedness": np.clip(1 - (xx + yy) / size, 0, 1)}
