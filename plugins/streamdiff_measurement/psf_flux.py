"""The flux of a point source on the difference, at its best position."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.point_source import PointSources, forced_flux
from streamdiff.model import Column, DiaSources
from streamdiff.stages import Images
from streamdiff_measurement.position import POSITION_COLUMNS, FittedPosition

_COLUMNS = (
    Column("psfFlux", "f4", "nJy", "Flux of a point source at x, y"),
    Column("psfFluxErr", "f4", "nJy", "Uncertainty of psfFlux"),
    Column("psfLnL", "f4", "", "Natural log likelihood of the point source"),
    Column("psfChi2", "f4", "", "Chi-squared of the point source"),
    Column("psfNdata", "i4", "", "Number of pixels of the fit"),
    Column("snr", "f4", "", "Absolute psfFlux over its uncertainty"),
    Column("psfFlux_flag", "?", "", "Whether there is no psfFlux"),
    Column("psfFlux_flag_edge", "?", "", "Whether the PSF reaches off the image"),
    Column("psfFlux_flag_noGoodPixels", "?", "", "Whether no pixel is usable"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PsfFlux(FittedPosition):
    """Flux and position of a point source, fitted together on the difference.

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
        """Return fluxes and positions.

        Notes
        -----
        A flux at a fitted position is too large by about 1 / snr^2 of itself.
        Where the fit of the position fails, x and y stay, their errors are NaN,
        and the flux is that at x, y. Where there is no flux, snr stays.
        """
        position = self.fit(sources, images)
        found = forced_flux(
            images.difference, position["x"], position["y"], exclude=self.excluded
        )
        return {**position, **_values(found, sources["snr"])}


def _values(found: PointSources, snr: NDArray[Any]) -> dict[str, NDArray[Any]]:
    missing = np.isnan(found.flux)
    measured = np.abs(found.flux) / found.flux_error
    return {
        "psfFlux": found.flux,
        "psfFluxErr": found.flux_error,
        "psfLnL": np.where(missing, np.nan, found.log_likelihood),
        "psfChi2": np.where(missing, np.nan, found.chi2),
        "psfNdata": found.n_pixels,
        "snr": np.where(missing, snr, measured),
        "psfFlux_flag": missing,
        "psfFlux_flag_edge": found.truncated,
        "psfFlux_flag_noGoodPixels": found.n_pixels == 0,
    }
