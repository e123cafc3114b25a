"""Adaptive moments of sources and of the PSF: for more than one measurer."""

from dataclasses import replace
from math import ceil

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.moments import Moments, moments_of_stamps
from streamdiff.imaging.stamps import (
    Stamps,
    batches,
    centred_psf_stamps,
    cut_stamps,
    nearest_pixels,
    resized_stamps,
)
from streamdiff.model import ConstantPsf, Difference, Exposure, MaskPlane
from streamdiff.model.psf import FWHM_PER_SIGMA, fwhm

_RADIUS_FWHM = 2.0


def typical_fwhm(exposure: Exposure | Difference) -> float:
    """Return the FWHM of the PSF in the middle of an image [pixel]."""
    height, width = exposure.shape
    return fwhm(exposure.psf.centred_at((width - 1) / 2, (height - 1) / 2))


def source_moments(
    exposure: Exposure | Difference,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    *,
    negative: NDArray[np.bool_],
    exclude: MaskPlane,
) -> Moments:
    """Return the moments of sources, of the negative ones upside down.

    Parameters
    ----------
    exposure : Exposure or Difference
        Its covariance factor counts in the signal-to-noise ratios.
    x, y : ndarray of float64, shape (n,)
        Where to start [pixel].
    negative : ndarray of bool, shape (n,)
    exclude : MaskPlane
        Pixels on any of these planes take no part.
    """
    width = typical_fwhm(exposure)
    side = 2 * ceil(_RADIUS_FWHM * width) + 1
    parts = []
    for part in batches(len(x)):
        here = x[part], y[part]
        stamps = cut_stamps(exposure, *here, (side, side), exclude=exclude)
        sign = np.where(negative[part], -1.0, 1.0)
        parts.append(_of_stamps(stamps, sign, *here, width))
    return Moments(
        **{
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in Moments.__slots__
        }
    )


def psf_moments(
    exposure: Exposure | Difference, x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return xx, yy and xy of the PSF at positions, shape (3, n) [pixel**2]."""
    width, psf = typical_fwhm(exposure), exposure.psf
    if isinstance(psf, ConstantPsf):
        return np.broadcast_to(_of_psfs(psf.stamp[np.newaxis], width), (3, len(x)))
    parts = [
        _of_psfs(centred_psf_stamps(psf, x[part], y[part]), width)
        for part in batches(len(x))
    ]
    return np.concatenate(parts, axis=1)


def moment_errors(
    xx: NDArray[np.float64],
    yy: NDArray[np.float64],
    xy: NDArray[np.float64],
    snr: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the errors of xx, yy and xy of the best-fitting Gaussian.

    Notes
    -----
    From the Fisher matrix of a Gaussian of free flux and shape in white noise,
    the variance of M_ij is 4 (M_ii M_jj + M_ij**2) / snr**2, where snr is that of
    the flux if the shape is known.
    """
    scale = 2 / np.where(snr > 0, snr, np.nan)
    return (
        scale * np.sqrt(2) * xx,
        scale * np.sqrt(2) * yy,
        scale * np.sqrt(xx * yy + xy**2),
    )


def _of_stamps(
    stamps: Stamps,
    sign: NDArray[np.float64],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    width: float,
) -> Moments:
    """Return moments; positions are those on the image."""
    column, row = nearest_pixels(x, y)
    found = moments_of_stamps(
        sign[:, np.newaxis, np.newaxis] * stamps.image,
        stamps.covariance_factor[:, np.newaxis, np.newaxis] * stamps.variance,
        stamps.usable,
        np.stack([x - column, y - row], axis=1),
        sigma=width / FWHM_PER_SIGMA,
    )
    return replace(found, x=found.x + column, y=found.y + row)


def _of_psfs(stamps: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """Return xx, yy and xy of PSF stamps, shape (3, n) [pixel**2]."""
    side = 2 * min(ceil(_RADIUS_FWHM * width), *(k // 2 for k in stamps.shape[1:])) + 1
    middles = resized_stamps(stamps, side)
    ones = np.ones(middles.shape)
    found = moments_of_stamps(
        middles,
        ones,
        ones > 0,
        np.zeros((len(stamps), 2)),
        sigma=width / FWHM_PER_SIGMA,
    )
    return np.stack([found.xx, found.yy, found.xy])
