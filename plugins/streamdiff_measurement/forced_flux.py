"""Fluxes on the science image and the template, at the positions of DiaSources."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.point_source import PointSources, forced_flux
from streamdiff.model import Column, DiaSources
from streamdiff.stages import Images
from streamdiff_measurement.flux_scales import flux_scales
from streamdiff_measurement.good_pixels import GoodPixels

_COLUMNS = (
    Column("scienceFlux", "f4", "nJy", "PSF flux on the science image at x, y"),
    Column("scienceFluxErr", "f4", "nJy", "Uncertainty of scienceFlux"),
    Column("templateFlux", "f4", "nJy", "PSF flux on the template at x, y"),
    Column("templateFluxErr", "f4", "nJy", "Uncertainty of templateFlux"),
    *(
        Column(f"{prefix}_PsfFlux_flag{suffix}", "?", "", f"{doc} {where}")
        for prefix, where in (
            ("forced", "on the science image"),
            ("forced_template", "on the template"),
        )
        for suffix, doc in (
            ("", "Whether there is no forced flux"),
            ("_edge", "Whether the PSF of the forced flux reaches beyond the border"),
            ("_noGoodPixels", "Whether the forced flux has no usable pixel"),
        )
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForcedFlux(GoodPixels):
    """PSF fluxes before the subtraction, each with the PSF of its own image.

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
        """Return fluxes on the flux scale of the difference.

        So the science flux minus the template flux is the flux of the change.
        """
        x, y, exclude = sources["x"], sources["y"], self.excluded
        science = forced_flux(images.science, x, y, exclude=exclude)
        template = forced_flux(images.template, x, y, exclude=exclude)
        of_science, of_template = flux_scales(images)
        return {
            "scienceFlux": of_science * science.flux,
            "scienceFluxErr": of_science * science.flux_error,
            "templateFlux": of_template * template.flux,
            "templateFluxErr": of_template * template.flux_error,
            **_flags("forced", science),
            **_flags("forced_template", template),
        }


def _flags(prefix: str, found: PointSources) -> dict[str, NDArray[np.bool_]]:
    return {
        f"{prefix}_PsfFlux_flag": np.isnan(found.flux),
        f"{prefix}_PsfFlux_flag_edge": found.truncated,
        f"{prefix}_PsfFlux_flag_noGoodPixels": found.n_pixels == 0,
    }
