"""Fluxes on the science image and the template, at the positions of DiaSources."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.point_source import forced_flux
from streamdiff.model import Column, DiaSources
from streamdiff.stages import Images
from streamdiff_measurement.flux_scales import flux_scales
from streamdiff_measurement.good_pixels import GoodPixels

_COLUMNS = (
    Column("scienceFlux", "f4", "nJy", "PSF flux on the science image at x, y"),
    Column("scienceFluxErr", "f4", "nJy", "Uncertainty of scienceFlux"),
    Column("templateFlux", "f4", "nJy", "PSF flux on the template at x, y"),
    Column("templateFluxErr", "f4", "nJy", "Uncertainty of templateFlux"),
    Column("forced_PsfFlux_flag", "?", "", "Whether there is no scienceFlux"),
    Column("forced_PsfFlux_flag_edge", "?", "", "Whether the PSF reaches off it"),
    Column("forced_PsfFlux_flag_noGoodPixels", "?", "", "Whether no pixel is usable"),
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
            "forced_PsfFlux_flag": np.isnan(science.flux),
            "forced_PsfFlux_flag_edge": science.truncated,
            "forced_PsfFlux_flag_noGoodPixels": science.n_pixels == 0,
        }
