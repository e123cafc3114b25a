"""The stamps that dipoles are fitted to."""

from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Self

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from streamdiff.imaging.stamps import (
    Stamps,
    centred_psf_stamps,
    cut_stamps,
    nearest_pixels,
    resized_stamps,
)
from streamdiff.model import ConstantPsf, Difference, MaskPlane, Psf
from streamdiff.model.psf import FWHM_PER_SIGMA, fwhm
from streamdiff.stages import Images
from streamdiff_measurement.dipole_lobes import Plane, Triplet
from streamdiff_measurement.flux_scales import flux_scales

# Of the PSF, twice its FWHM around the middle counts.
_CORE_FWHM, _MIN_CORE, _MIN_SEARCH = 2.0, 5, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """How far to look around a DiaSource.

    Attributes
    ----------
    sigma : float
        Of a Gaussian as wide as the PSF [pixel].
    search : int
        Farthest middle of a dipole [pixel]. A lobe is at 0.6 FWHM.
    side : int
        Odd side of stamps [pixel].
    """

    sigma: float
    search: int
    side: int

    @classmethod
    def of(cls, difference: Difference) -> Self:
        """Return what suits the PSF of a difference."""
        height, width = difference.shape
        psf = difference.psf.centred_at((width - 1) / 2, (height - 1) / 2)
        core = max(ceil(_CORE_FWHM * fwhm(psf)), _MIN_CORE)
        search = max(ceil(fwhm(psf)), _MIN_SEARCH)
        return cls(
            sigma=fwhm(psf) / FWHM_PER_SIGMA,
            search=search,
            side=2 * (core + search) + 1,
        )


class DipoleStamps:
    """Stamps of n DiaSources, and the PSFs there.

    Parameters
    ----------
    images : Images
    x, y : ndarray of float64, shape (n,)
        Positions [pixel].
    exclude : MaskPlane
        Pixels on any of these planes take no part.

    Attributes
    ----------
    difference : Stamps
    psf : ndarray of float64, shape (n, side, side) or (1, side, side)
        That of the difference.
    pixel : ndarray of int, shape (2, n)
        Columns and rows of the middles of the stamps.
    wcs : astropy.wcs.WCS
    geometry : Geometry
    """

    def __init__(
        self,
        images: Images,
        x: NDArray[np.float64],
        y: NDArray[np.float64],
        *,
        exclude: MaskPlane,
    ) -> None:
        self.geometry = geometry = Geometry.of(images.difference)
        self.pixel = np.stack(nearest_pixels(x, y))
        self.wcs: WCS = images.difference.wcs
        self._images, self._x, self._y, self._exclude = images, x, y, exclude
        shape = (geometry.side, geometry.side)
        self._cut = partial(cut_stamps, x=x, y=y, shape=shape, exclude=exclude)
        self.difference: Stamps = self._cut(images.difference)
        self.psf = self._psfs(images.difference.psf)

    def take(self, rows: NDArray[np.intp]) -> Self:
        """Return those of some of the DiaSources."""
        x, y = self._x[rows], self._y[rows]
        return type(self)(self._images, x, y, exclude=self._exclude)

    def triplet(self, image_weight: float) -> Triplet:
        """Return difference, science image and template on one flux scale."""
        science, template = self._images.science, self._images.template
        of_science, of_template = flux_scales(self._images)
        return Triplet(
            difference=Plane(self.difference, self.psf),
            science=Plane(
                self._cut(science),
                self._psfs(science.psf),
                scale=of_science,
                weight=image_weight,
            ),
            template=Plane(
                self._cut(template),
                self._psfs(template.psf),
                scale=of_template,
                weight=image_weight,
            ),
        )

    def _psfs(self, psf: Psf) -> NDArray[np.float64]:
        n = 1 if isinstance(psf, ConstantPsf) else len(self._x)
        stamps = centred_psf_stamps(psf, self._x[:n], self._y[:n])
        return resized_stamps(stamps, self.geometry.side)
