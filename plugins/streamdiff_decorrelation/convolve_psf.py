"""The PSF of an image that was convolved."""

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from streamdiff.imaging.kernel_field import KernelField
from streamdiff.model import ConstantPsf, GridPsf, PolynomialPsf, Psf

# What may be cut off a PSF: this part of the sum of its absolute values.
_CUT = 3e-4
# Nodes along an axis, at least, and at most.
_NODES, _MOST_NODES = 5, 9


def convolve_psf(psf: Psf, field: KernelField, image_shape: tuple[int, int]) -> Psf:
    """Return the PSF of an image that was convolved with a filter.

    Its kind is kept where the filter is constant; otherwise it is a `GridPsf`.

    Parameters
    ----------
    psf : Psf
    field : KernelField
    image_shape : tuple of int
        (height, width) of the image.
    """
    if field.is_constant and isinstance(psf, ConstantPsf):
        return ConstantPsf(_trimmed(_convolved(psf.stamp, field.kernels[0])))
    if field.is_constant and isinstance(psf, PolynomialPsf):
        terms = _convolved(psf.coefficients, field.kernels[0])
        return PolynomialPsf(coefficients=_trimmed(terms), image_shape=psf.image_shape)
    x, y = _nodes(psf, field, image_shape)
    stamps = np.array([[psf.centred_at(u, v) for u in x] for v in y])
    return GridPsf(stamps=_trimmed(_convolved(stamps, field.on_grid(x, y))), x=x, y=y)


def _nodes(
    psf: Psf, field: KernelField, image_shape: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    needed = [min(max(n, _NODES), _MOST_NODES) for n in field.nodes.shape]
    if isinstance(psf, GridPsf) and (
        field.is_constant or (psf.y.size >= needed[0] and psf.x.size >= needed[1])
    ):
        return psf.x, psf.y
    y, x = (
        np.linspace(0, max(n - 1, 1), count)
        for n, count in zip(image_shape, needed, strict=True)
    )
    return x, y


def _convolved(
    stamps: NDArray[np.float64], kernels: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return stamps, shape (..., ky, kx), larger by the kernels; one may be for all."""
    missing = stamps.ndim - kernels.ndim
    kernels = kernels.reshape((1,) * missing + kernels.shape)
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
