"""An exposure as it would be after a convolution."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from streamdiff.imaging.convolve import convolve
from streamdiff.imaging.difference_mask import dilate_mask
from streamdiff.imaging.interpolate import core_radius
from streamdiff.model import ConstantPsf, Exposure, GridPsf, MaskPlane, Psf
from streamdiff.model.varying_psf import sample_on_grid
from streamdiff_al.pixels import Pixels


def smooth(exposure: Exposure, kernel: NDArray[np.float64], *, edge: int) -> Exposure:
    """Return an exposure convolved with a kernel of unit sum and odd sides.

    Parameters
    ----------
    exposure : Exposure
    kernel : ndarray of float64, shape (ky, kx)
    edge : int
        Width [pixel] of the border that is flagged as such.

    Notes
    -----
    Pixels that can not be used are interpolated first, and the planes of the mask
    grow by the core of the kernel. The variance is that of single pixels.
    """
    pixels = Pixels.of(exposure).filled()
    mask = exposure.mask | np.where(pixels.no_data, np.int32(MaskPlane.NO_DATA), 0)
    return replace(
        exposure,
        image=convolve(pixels.image, kernel, border="mirror"),
        variance=convolve(pixels.variance, np.square(kernel), border="mirror"),
        mask=_with_edge(dilate_mask(mask, core_radius(kernel)), edge),
        psf=_smooth_psf(exposure.psf, kernel, exposure.shape),
    )


def _with_edge(mask: NDArray[np.int32], edge: int) -> NDArray[np.int32]:
    height, width = mask.shape
    inside = np.s_[edge : height - edge, edge : width - edge]
    flagged: NDArray[np.int32] = mask | np.int32(MaskPlane.EDGE)
    flagged[inside] = mask[inside]
    return flagged


def _smooth_psf(psf: Psf, kernel: NDArray[np.float64], shape: tuple[int, int]) -> Psf:
    """Return the PSF of an image of that shape after the convolution."""
    sampled = sample_on_grid(psf, shape)
    if isinstance(sampled, ConstantPsf):
        return ConstantPsf(signal.fftconvolve(sampled.stamp, kernel))
    stamps = signal.fftconvolve(
        sampled.stamps, kernel[np.newaxis, np.newaxis], axes=(-2, -1)
    )
    return GridPsf(stamps=stamps, x=sampled.x, y=sampled.y)
