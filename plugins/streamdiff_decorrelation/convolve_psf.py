"""The PSF of an image that was convolved."""

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from streamdiff.model import ConstantPsf, GridPsf, PolynomialPsf, Psf
from streamdiff_decorrelation.whitening import SpatialFilter

# What may be cut off a PSF: this part of the sum of its absolute values.
_CUT = 3e-4
_NODES = 5


def convolve_psf(psf: Psf, spatial: SpatialFilter, image_shape: tuple[int, int]) -> Psf:
    """Return the PSF of an image that was convolved with a filter.

    Its kind is kept where the filter is constant; otherwise it is a `GridPsf`.

    Parameters
    ----------
    psf : Psf
    spatial : SpatialFilter
    image_shape : tuple of int
        (height, width) of the image.
    """
    if spatial.is_constant and isinstance(psf, ConstantPsf):
        return ConstantPsf(_trimmed(_convolved(psf.stamp, spatial.at(0, 0))))
    if spatial.is_constant and isinstance(psf, PolynomialPsf):
        terms = _convolved(psf.coefficients, spatial.at(0, 0))
        return PolynomialPsf(coefficients=_trimmed(terms), image_shape=psf.image_shape)
    x, y = _nodes(psf, image_shape, constant=spatial.is_constant)
    stamps = [
        [_convolved(psf.centred_at(u, v), spatial.at(u, v)) for u in x] for v in y
    ]
    return GridPsf(stamps=_trimmed(np.array(stamps)), x=x, y=y)


def _nodes(
    psf: Psf, image_shape: tuple[int, int], *, constant: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if isinstance(psf, GridPsf) and (constant or min(psf.x.size, psf.y.size) >= _NODES):
        return psf.x, psf.y
    height, width = image_shape
    x, y = (np.linspace(0, max(n - 1, 1), _NODES) for n in (width, height))
    return x, y


def _convolved(
    stamps: NDArray[np.float64], kernel: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return stamps, shape (..., ky, kx), larger by the kernel."""
    kernels = kernel.reshape((1,) * (stamps.ndim - 2) + kernel.shape)
    convolved: NDArray[np.float64] = signal.fftconvolve(stamps, kernels, axes=(-2, -1))
    return convolved


def _trimmed(stamps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return stamps, shape (..., ky, kx), without the borders that hold nothing."""
    ky, kx = stamps.shape[-2:]
    size = np.abs(stamps).reshape(-1, ky, kx).sum(axis=0)
    enough = (1 - _CUT) * size.sum()
    margins = range(1, (min(ky, kx) + 1) // 2)
    margin = max(
        (m for m in margins if size[m : ky - m, m : kx - m].sum() >= enough), default=0
    )
    return stamps[..., margin : ky - margin, margin : kx - margin]
