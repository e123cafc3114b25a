"""Fluxes and positions of point sources, by least squares on stamps.

Pixels weigh the same whatever their variance: the variance plane is often made
from the pixels themselves, and its inverse would favour those that are faint by
chance. Errors are propagated from the variance plane.
"""

from dataclasses import dataclass, fields
from math import ceil
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamdiff.imaging.compiled import compiled
from streamdiff.imaging.shifted_stamps import shifted_with_derivatives
from streamdiff.imaging.stamps import (
    Stamps,
    batches,
    centred_psf_stamps,
    cut_stamps,
    nearest_pixels,
    psf_stamps,
)
from streamdiff.model import Difference, Exposure, MaskPlane
from streamdiff.model.psf import fwhm

# A flux from less of the PSF's power than this says little about the source.
_MIN_POWER = 0.1
# Steps converge quadratically: from half a FWHM, six end within 1e-6 px.
_STEPS, _MAX_STEP, _CONVERGED, _DONE = 6, 0.5, 0.01, 1e-4
# Positions need the core alone: the wings only cost time.
_CORE_FWHM, _MIN_CORE = 2.0, 5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PointSources:
    """Fluxes at given positions; every attribute has shape (n,).

    Attributes
    ----------
    flux, flux_error : ndarray of float64
        [unit of the image]; NaN where less than a tenth of the PSF's power is on
        usable pixels.
    chi2, log_likelihood : ndarray of float64
        Of the usable pixels of the stamp, given the model.
    n_pixels : ndarray of int64
        Usable pixels of the stamp.
    truncated : ndarray of bool
        Whether a part of the stamp is outside the image.
    """

    flux: NDArray[np.float64]
    flux_error: NDArray[np.float64]
    chi2: NDArray[np.float64]
    log_likelihood: NDArray[np.float64]
    n_pixels: NDArray[np.int64]
    truncated: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Positions:
    """Fitted positions; every attribute has shape (n,).

    Attributes
    ----------
    x, y : ndarray of float64
        [pixel]; where the fit failed, those where it started.
    x_error, y_error, covariance : ndarray of float64
        Errors [pixel] and covariance [pixel**2] of x and y; NaN where the fit
        failed.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    x_error: NDArray[np.float64]
    y_error: NDArray[np.float64]
    covariance: NDArray[np.float64]


_Result = TypeVar("_Result", PointSources, Positions)


def forced_flux(
    exposure: Exposure | Difference, x: ArrayLike, y: ArrayLike, *, exclude: MaskPlane
) -> PointSources:
    """Return the PSF fluxes at positions.

    Parameters
    ----------
    exposure : Exposure or Difference
        It has a PSF; its covariance factor counts in the errors.
    x, y : array_like of float, shape (n,)
        Finite positions [pixel].
    exclude : MaskPlane
        Pixels on any of these planes take no part.
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    shape = exposure.psf.shape
    parts = [
        _fluxes(
            cut_stamps(exposure, x[part], y[part], shape, exclude=exclude),
            psf_stamps(exposure.psf, x[part], y[part]),
        )
        for part in batches(x.size)
    ]
    return _joined(PointSources, parts)


def fit_positions(
    exposure: Exposure | Difference,
    x: ArrayLike,
    y: ArrayLike,
    *,
    exclude: MaskPlane,
    max_shift: float = 1.5,
) -> Positions:
    """Return the positions where point sources fit best, their fluxes free.

    Parameters
    ----------
    exposure : Exposure or Difference
        It has a PSF; its covariance factor counts in the errors.
    x, y : array_like of float, shape (n,)
        Finite positions [pixel] to start from.
    exclude : MaskPlane
        Pixels on any of these planes take no part.
    max_shift : float
        Fits that end farther than this from their start have failed [pixel].

    Notes
    -----
    Gauss-Newton steps in flux, x and y. The flux at the fitted position is too
    large by about 1 / snr^2 of itself: the fit climbs the noise.
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    parts = [
        _fitted(exposure, x[part], y[part], exclude, max_shift)
        for part in batches(x.size)
    ]
    return _joined(Positions, parts)


def _joined(kind: type[_Result], parts: list[_Result]) -> _Result:
    return kind(
        **{
            field.name: np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(kind)
        }
    )


def _fluxes(stamps: Stamps, psf: NDArray[np.float64]) -> PointSources:
    n_pixels = stamps.usable.sum(axis=(1, 2))
    flux, noise, chi2, log_norm = np.empty((4, len(psf)))
    _fill_fluxes(
        (stamps.image, stamps.variance, stamps.usable, psf),
        (flux, noise, chi2, log_norm),
    )
    return PointSources(
        flux=flux,
        flux_error=np.sqrt(stamps.covariance_factor * noise),
        chi2=chi2,
        log_likelihood=-0.5 * (chi2 + log_norm + n_pixels * np.log(2 * np.pi)),
        n_pixels=n_pixels,
        truncated=stamps.truncated,
    )


@compiled
def _fill_fluxes(
    stamps: tuple[
        NDArray[np.float64],
        NDArray[np.float64],
        NDArray[np.bool_],
        NDArray[np.float64],
    ],
    results: tuple[
        NDArray[np.float64],
        NDArray[np.float64],
        NDArray[np.float64],
        NDArray[np.float64],
    ],
) -> None:
    """Fill in fluxes, their variances, chi-squared, and logarithms of variances."""
    flux, of_flux, chi2, log_norm = results
    for i in range(len(flux)):
        image, variance, usable, psf = (
            stamps[0][i].ravel(),
            stamps[1][i].ravel(),
            stamps[2][i].ravel(),
            stamps[3][i].ravel(),
        )
        power = norm = match = noise = logarithm = 0.0
        for k in range(psf.size):
            power += psf[k] ** 2
            if usable[k]:
                norm += psf[k] ** 2
                match += psf[k] * image[k]
                noise += psf[k] ** 2 * variance[k]
                logarithm += np.log(variance[k])
        if norm <= _MIN_POWER * power:
            norm = np.nan
        flux[i], of_flux[i], log_norm[i] = match / norm, noise / norm**2, logarithm
        chi2[i] = 0
        for k in range(psf.size):
            if usable[k]:
                chi2[i] += (image[k] - flux[i] * psf[k]) ** 2 / variance[k]


def _fitted(
    exposure: Exposure | Difference,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    exclude: MaskPlane,
    max_shift: float,
) -> Positions:
    core = _core(exposure, centred_psf_stamps(exposure.psf, x, y))
    stamps = cut_stamps(exposure, x, y, core.shape[1:], exclude=exclude)
    pixel = np.stack(nearest_pixels(x, y), axis=1)
    start = np.stack([x, y], axis=1) - pixel
    shift, steps = start.copy(), np.zeros_like(start)
    moving, few = np.arange(len(start)), stamps
    for _ in range(_STEPS):
        design = _design(core[moving], shift[moving], few.usable)
        _, step = _gauss_newton(few, design)
        step = np.clip(step, -_MAX_STEP, _MAX_STEP)
        first = start[moving]
        shift[moving] = np.clip(
            shift[moving] + step, first - max_shift, first + max_shift
        )
        steps[moving] = step
        going = np.abs(step).max(axis=1, initial=0) > _DONE
        if not going.any():
            break
        moving, few = moving[going], few.take(going)

    design = _design(core, shift, stamps.usable)
    flux, _ = _gauss_newton(stamps, design)
    covariance = _covariance(stamps, design) / flux[:, np.newaxis, np.newaxis] ** 2
    failed = np.hypot(*(shift - start).T) >= max_shift
    failed |= np.abs(steps).max(axis=1) > _CONVERGED
    failed |= ~np.isfinite(covariance).all(axis=(1, 2)) | (flux == 0)
    covariance[failed] = np.nan
    fitted_x, fitted_y = np.where(failed, start.T, shift.T) + pixel.T
    return Positions(
        x=fitted_x,
        y=fitted_y,
        x_error=np.sqrt(covariance[:, 0, 0]),
        y_error=np.sqrt(covariance[:, 1, 1]),
        covariance=covariance[:, 0, 1],
    )


def _core(
    exposure: Exposure | Difference, psf: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the middles of PSF stamps."""
    (height, width), (ky, kx) = exposure.shape, psf.shape[1:]
    typical = exposure.psf.centred_at((width - 1) / 2, (height - 1) / 2)
    radius = max(ceil(_CORE_FWHM * fwhm(typical)), _MIN_CORE)
    ry, rx = min(radius, ky // 2), min(radius, kx // 2)
    return psf[:, ky // 2 - ry : ky // 2 + ry + 1, kx // 2 - rx : kx // 2 + rx + 1]


def _design(
    core: NDArray[np.float64], shift: NDArray[np.float64], usable: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return PSFs and their derivatives by x and y; shape (n, 3, n_pixels)."""
    design = shifted_with_derivatives(core, shift, order=1)
    design *= usable[:, np.newaxis]
    n, p, ky, kx = design.shape
    return design.reshape(n, p, ky * kx)


def _gauss_newton(
    stamps: Stamps, design: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return fluxes, shape (n,), and the next steps in x and y, shape (n, 2)."""
    image = stamps.image.reshape(len(design), design.shape[2], 1)
    solution = (_inverse(design @ design.swapaxes(1, 2)) @ (design @ image))[..., 0]
    flux = solution[:, 0]
    # The other two coefficients are flux times displacement.
    scale = np.divide(1, flux, out=np.zeros_like(flux), where=flux != 0)
    return flux, solution[:, 1:] * scale[:, np.newaxis]


def _covariance(stamps: Stamps, design: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return covariances of flux times (x, y); shape (n, 2, 2)."""
    inverse = _inverse(design @ design.swapaxes(1, 2))
    variance = stamps.variance.reshape(len(design), 1, design.shape[2])
    noise = (design * variance) @ design.swapaxes(1, 2)
    factor = stamps.covariance_factor[:, np.newaxis, np.newaxis]
    covariance: NDArray[np.float64] = factor * (inverse @ noise @ inverse)
    return covariance[:, 1:, 1:]


def _inverse(normal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return inverses of 3 x 3 matrices, NaN for those that have none."""
    scale = np.sqrt(np.einsum("nii->ni", normal))
    scale = np.where(scale > 0, scale, np.nan)
    scaled = normal / (scale[:, :, np.newaxis] * scale[:, np.newaxis, :])
    regular = np.isfinite(scaled).all(axis=(1, 2))
    regular[regular] &= np.linalg.det(scaled[regular]) > np.sqrt(np.finfo(float).eps)
    inverse: NDArray[np.float64] = np.full_like(scaled, np.nan)
    inverse[regular] = np.linalg.inv(scaled[regular])
    inverse /= scale[:, :, np.newaxis] * scale[:, np.newaxis, :]
    return inverse
