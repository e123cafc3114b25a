"""The pixels around DiaSources as their features need them: in sigma and in FWHM."""

from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.stamps import (
    cut_stamps,
    nearest_pixels,
    psf_stamps,
    resized_stamps,
)
from streamdiff.model import DiaSources, FluxScale, MaskPlane
from streamdiff.model.psf import fwhm
from streamdiff.stages import Images

# How far from a DiaSource pixels count [FWHM], and at most [pixel].
REACH_FWHM, _MAX_REACH = 4.0, 40
# The PSF is fitted within this [FWHM].
FIT_FWHM = 1.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TripletStamps:
    """Pixels of n DiaSources, shape (n, m) but where said.

    Attributes
    ----------
    radius : ndarray of float64
        Distance from the DiaSource [FWHM].
    difference : ndarray of float64
        [sigma]; upside down where it is negative, 0 where there is no data.
    model : ndarray of float64
        The point source that fits best within 1.5 FWHM [sigma].
    template : ndarray of float64
        On the flux scale of the difference, in the sigma of that.
    side : int
        Of the squares that the m pixels are.
    """

    radius: NDArray[np.float64]
    difference: NDArray[np.float64]
    model: NDArray[np.float64]
    template: NDArray[np.float64]
    side: int


def psf_width(images: Images) -> float:
    """Return the FWHM of the difference, in the middle of the image [pixel]."""
    height, width = images.difference.shape
    psf = images.difference.psf.centred_at((width - 1) / 2, (height - 1) / 2)
    return fwhm(psf)


def triplet_stamps(sources: DiaSources, images: Images, width: float) -> TripletStamps:
    """Return the pixels of a few DiaSources; no mask counts but NO_DATA.

    Parameters
    ----------
    sources : DiaSources
    images : Images
    width : float
        As of `psf_width` [pixel].
    """
    difference = images.difference
    side = 2 * min(ceil(REACH_FWHM * width), _MAX_REACH) + 1
    x, y = (np.asarray(sources[name], float) for name in "xy")
    here, there = (
        cut_stamps(image, x, y, (side, side), exclude=MaskPlane.NO_DATA)
        for image in (difference, images.template)
    )
    sign = np.where(sources["isNegative"], -1.0, 1.0)
    scale = np.divide(
        1,
        np.sqrt(here.covariance_factor[:, np.newaxis, np.newaxis] * here.variance),
        out=np.zeros_like(here.variance),
        where=here.variance > 0,
    )
    pixels = sign[:, np.newaxis, np.newaxis] * here.image * scale
    psf = resized_stamps(psf_stamps(difference.psf, x, y), side) * scale
    radius = _radii(x, y, side) / width
    of_template = (
        difference.kernel_sum if difference.flux_scale is FluxScale.SCIENCE else 1.0
    )
    return TripletStamps(
        radius=radius,
        difference=pixels.reshape(radius.shape),
        model=_fitted(pixels, psf, radius),
        template=(of_template * there.image * scale).reshape(radius.shape),
        side=side,
    )


def _radii(
    x: NDArray[np.float64], y: NDArray[np.float64], side: int
) -> NDArray[np.float64]:
    """Return distances of pixels from positions, shape (n, side**2) [pixel]."""
    column, row = nearest_pixels(x, y)
    offset = np.arange(side) - side // 2
    dx = offset - (x - column)[:, np.newaxis]
    dy = offset - (y - row)[:, np.newaxis]
    radii = np.hypot(dy[:, :, np.newaxis], dx[:, np.newaxis])
    return radii.reshape(len(x), side**2)


def _fitted(
    pixels: NDArray[np.float64], psf: NDArray[np.float64], radius: NDArray[np.float64]
) -> NDArray[np.float64]:
    near = radius <= FIT_FWHM
    terms, values = (np.where(near, p.reshape(radius.shape), 0) for p in (psf, pixels))
    power = np.sum(terms**2, axis=1)
    match = np.sum(terms * values, axis=1)
    flux = np.divide(match, power, out=np.zeros_like(match), where=power > 0)
    model: NDArray[np.float64] = flux[:, np.newaxis] * psf.reshape(radius.shape)
    return model
