"""Which exposures are sharp enough for a coadd."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_scales

from streamdiff.model import ExposureId
from streamdiff.model.psf import fwhm
from streamdiff_coadd.stack import StackInput

_ARCSEC = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class SeeingLimits:
    """How sharp an exposure must be.

    Attributes
    ----------
    max_arcsec : float or None
        Largest FWHM of its PSF.
    best_fraction : float
        Of the exposures within that limit, this part is taken, the sharpest.
    """

    max_arcsec: float | None = None
    best_fraction: float = 1.0

    def rejected(
        self, inputs: Sequence[StackInput], wcs: WCS
    ) -> Mapping[ExposureId, str]:
        """Return what is not sharp enough, and why."""
        if self.max_arcsec is None and self.best_fraction == 1:
            return {}
        scale = float(np.mean(proj_plane_pixel_scales(wcs.celestial))) * _ARCSEC
        seeing = {item.id: scale * _fwhm(item) for item in inputs}
        limit = np.inf if self.max_arcsec is None else self.max_arcsec
        rejected = {
            exposure: f"the seeing is {arcsec:.3g} arcsec, the limit {limit:g}"
            for exposure, arcsec in seeing.items()
            if arcsec > limit
        }
        sharp = sorted((e for e in seeing if e not in rejected), key=seeing.__getitem__)
        return rejected | {
            exposure: f"the seeing, {seeing[exposure]:.3g} arcsec, is not among the "
            f"best {self.best_fraction:.0%}"
            for exposure in sharp[ceil(self.best_fraction * len(sharp)) :]
        }


def _fwhm(item: StackInput) -> float:
    """Return the width of a PSF in the middle of the area of its exposure [pixel]."""
    x, y = np.mean(item.area.vertices, axis=0)
    return fwhm(item.psf.centred_at(float(x), float(y)))
