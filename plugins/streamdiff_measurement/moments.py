"""Second moments of DiaSources, and of the PSF where they are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.wcs.utils import proj_plane_pixel_area
from numpy.typing import NDArray

from streamdiff.model import Column, DiaSources
from streamdiff.stages import Images
from streamdiff_measurement.good_pixels import GoodPixels
from streamdiff_measurement.source_moments import (
    moment_errors,
    psf_moments,
    source_moments,
)

_NAMES = ("ixx", "iyy", "ixy")
_COLUMNS = (
    *(
        Column(n, "f4", "arcsec2", f"Adaptive moment {n[1:]} along x, y")
        for n in _NAMES
    ),
    *(Column(f"{n}Err", "f4", "arcsec2", f"Uncertainty of {n}") for n in _NAMES),
    *(
        Column(f"{n}PSF", "f4", "arcsec2", f"Adaptive moment {n[1:]} of the PSF")
        for n in _NAMES
    ),
    Column("shape_flag", "?", "", "Whether the moments could not be measured"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceMoments(GoodPixels):
    """Moments of the best-fitting Gaussian on the difference.

    Attributes
    ----------
    exclude : tuple of str
        Mask planes whose pixels take no part.
    """

    @property
    def columns(self) -> tuple[Column, ...]:
        """Return the columns that `measure` fills."""
        return _COLUMNS

    def measure(
        self, sources: DiaSources, images: Images
    ) -> Mapping[str, NDArray[Any]]:
        """Return the moments along the axes of the pixels."""
        difference = images.difference
        area = proj_plane_pixel_area(difference.wcs) * 3600**2
        x, y, negative = sources["x"], sources["y"], sources["isNegative"]
        found = source_moments(
            difference, x, y, negative=negative, exclude=self.excluded
        )
        known = found.snr > 0
        xx, yy, xy = np.where(
            known, area * np.stack([found.xx, found.yy, found.xy]), np.nan
        )
        errors = moment_errors(xx, yy, xy, found.snr)
        of_psf = area * psf_moments(difference, x, y)
        return {
            **dict(zip(_NAMES, (xx, yy, xy), strict=True)),
            **{f"{n}Err": e for n, e in zip(_NAMES, errors, strict=True)},
            **{f"{n}PSF": m for n, m in zip(_NAMES, of_psf, strict=True)},
            "shape_flag": ~known,
        }
