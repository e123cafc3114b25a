"""Lanczos resampling with the functions of the host: a beginning."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated

from annotated_types import Ge, Le
from astropy.wcs import WCS

from streamdiff.hookspecs import hookimpl
from streamdiff.imaging.pixel_map import pixel_map
from streamdiff.imaging.psf_warp import warp_psf
from streamdiff.imaging.resample import Planes, resample
from streamdiff.model import Exposure, UnknownPsf
from streamdiff.stages import Warper


@dataclass(frozen=True, slots=True, kw_only=True)
class Mine:
    """Resamples with a windowed sinc.

    Attributes
    ----------
    order : int
        Zero crossings of the kernel on either side.
    """

    order: Annotated[int, Ge(2), Le(5)] = 5

    def warp(self, exposure: Exposure, wcs: WCS, shape: tuple[int, int]) -> Exposure:
        """Return the exposure on the pixels of another WCS."""
        grid = pixel_map(exposure.wcs, wcs, shape)
        planes = Planes(
            image=exposure.image,
            variance=exposure.variance,
            mask=exposure.mask,
            covariance_factor=exposure.covariance_factor,
        )
        warped = resample(planes, grid, shape, order=self.order)
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
            stars=None,
        )


@hookimpl
def streamdiff_warpers() -> Mapping[str, Callable[..., Warper]]:
    """Offer ``mine``."""
    return {"mine": Mine}
