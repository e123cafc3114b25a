"""Warping with a Lanczos kernel along the true WCS."""

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le
from astropy.wcs import WCS

from streamdiff.imaging.pixel_map import PixelMap, pixel_map
from streamdiff.imaging.psf_warp import warp_psf
from streamdiff.imaging.resample import Planes, resample
from streamdiff.model import Exposure, UnknownPsf

# Grids that differ by less are the same grid [pixel].
SAME_GRID_PIXEL = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class LanczosWarper:
    """Resampling with a windowed sinc, the flux of every source kept.

    Attributes
    ----------
    order : int
        Zero crossings of the kernel on either side, 2 to 5. A higher order keeps
        a sharp PSF better, and rings further around what is not sampled well.
    """

    order: Annotated[int, Ge(2), Le(5)] = 5

    def warp(self, exposure: Exposure, wcs: WCS, shape: tuple[int, int]) -> Exposure:
        """Return the exposure on the pixels of another WCS.

        An exposure that is already on these pixels is returned unchanged.
        """
        grid = pixel_map(exposure.wcs, wcs, shape)
        if shape == exposure.shape and _is_identity(grid):
            return exposure
        warped = resample(
            Planes(
                image=exposure.image,
                variance=exposure.variance,
                mask=exposure.mask,
                covariance_factor=exposure.covariance_factor,
            ),
            grid,
            shape,
            order=self.order,
        )
        psf = exposure.psf
        if not isinstance(psf, UnknownPsf):
            psf = warp_psf(psf, grid, shape, order=self.order)
        return replace(
            exposure,
            image=warped.image,
            variance=warped.variance,
            mask=warped.mask,
            covariance_factor=warped.covariance_factor,
            wcs=wcs,
            psf=psf,
            # They are where they were on the other pixels.
            stars=None,
        )


def _is_identity(grid: PixelMap) -> bool:
    rows, columns = np.indices(grid.x.shape) * grid.step
    displacement = np.hypot(grid.x - columns, grid.y - rows)
    return bool((displacement < SAME_GRID_PIXEL).all())
