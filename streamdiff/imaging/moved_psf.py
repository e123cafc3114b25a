"""The PSF of a part of an image, on the pixels of the whole."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from streamdiff.model import CoaddPsf, ConstantPsf, GridPsf, Psf, UnknownPsf


@dataclass(frozen=True, slots=True, eq=False)
class MovedPsf:
    """A PSF of any kind at positions larger by (dx, dy) [pixel]."""

    psf: Psf
    dx: float
    dy: float

    @property
    def shape(self) -> tuple[int, int]:
        """Return the odd sides (ky, kx) of every stamp."""
        return self.psf.shape

    def centred_at(self, x: float, y: float) -> NDArray[np.float64]:
        """Return the PSF at (x, y), centred on the middle pixel of its stamp."""
        return self.psf.centred_at(x - self.dx, y - self.dy)

    def at(self, x: float, y: float) -> NDArray[np.float64]:
        """Return the PSF of a star at (x, y), on whole image pixels."""
        return self.psf.at(x - self.dx, y - self.dy)


def moved_psf(psf: Psf, dx: int, dy: int) -> Psf:
    """Return a PSF whose positions are larger by whole pixels."""
    match psf:
        case ConstantPsf() | UnknownPsf():
            return psf
        case GridPsf():
            return replace(psf, x=psf.x + dx, y=psf.y + dy)
        case CoaddPsf():
            components = (
                replace(c, psf=moved_psf(c.psf, dx, dy), area=c.area.moved(dx, dy))
                for c in psf.components
            )
            return CoaddPsf(tuple(components))
        case _:
            return MovedPsf(psf, dx, dy)
