"""What pixels and counts mean where a DiaSource is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamdiff.model import Column, DiaSources
from streamdiff.stages import Images
from streamdiff_measurement.sky import tangent_jacobian

_CD = tuple(
    Column(
        f"localWcs_CDMatrix_{i + 1}_{j + 1}",
        "f8",
        "deg/pix",
        f"Change to the {sky} for a step along {pixel}, on the tangent plane",
    )
    for i, sky in enumerate(("east", "north"))
    for j, pixel in enumerate("xy")
)
_COLUMNS = (
    Column("localPhotoCalib", "f4", "nJy", "Flux of one unit of the difference image"),
    *_CD,
    Column("pixelScale", "f4", "arcsec", "Root of the area of a pixel on the sky"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalCalibration:
    """Local photometric calibration, and Jacobian of the WCS.

    Notes
    -----
    Images are calibrated when they are read, so that one unit of the difference is
    1 nJy everywhere; where they have no zero point, its flux is not known.
    """

    @property
    def columns(self) -> tuple[Column, ...]:
        """Return the columns that `measure` fills."""
        return _COLUMNS

    def measure(
        self, sources: DiaSources, images: Images
    ) -> Mapping[str, NDArray[Any]]:
        """Return the calibration at every DiaSource."""
        difference = images.difference
        jacobian = tangent_jacobian(difference.wcs, sources["x"], sources["y"])
        flux = 1.0 if difference.photometric else np.nan
        return {
            "localPhotoCalib": np.full(len(sources), flux),
            **{
                column.name: values
                for column, values in zip(_CD, jacobian.reshape(-1, 4).T, strict=True)
            },
            "pixelScale": 3600 * np.sqrt(np.abs(np.linalg.det(jacobian))),
        }
