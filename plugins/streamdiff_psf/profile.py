"""The mean PSF freed of noise: an elliptical Moffat profile plus what is left.

A pixel of a stack of stars knows the core of a PSF well, its wings badly. The
wings follow a Moffat profile (Moffat 1969, A&A 3, 455) fitted to the whole
stack; what the core deviates from it is smoothed over a fraction of the FWHM.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import least_squares

from streamdiff.model.psf import shift_stamp

# Deviations from a Moffat profile are wider than this part of the FWHM.
_SMOOTHING = 0.2
# From here to there [FWHM] the table gives way to the profile.
_TAPER_FROM, _TAPER_TO = 1.5, 2.5
_THIRDS = (-1 / 3, 0.0, 1 / 3)
_BETA_RANGE = (1.2, 10.0)


def regularised(
    stack: NDArray[np.float64], error: NDArray[np.float64], fwhm: float
) -> NDArray[np.float64]:
    """Return a stack of stars without its pedestal and its noise.

    Parameters
    ----------
    stack : ndarray of float64, shape (side, side)
        Centred on its middle pixel.
    error : ndarray of float64, shape (side, side)
        Standard error of the stack.
    fwhm : float
        First guess [pixel].

    Returns
    -------
    ndarray of float64, shape (side, side)
        Of sum 1.
    """
    profile, pedestal = _moffat(stack, fwhm)
    raw, width = stack - pedestal - profile, _SMOOTHING * fwhm
    once = ndimage.gaussian_filter(raw, width)
    # Smoothing what is left once more gives back part of what smoothing took.
    deviation = once + ndimage.gaussian_filter(raw - once, width)
    signal = ndimage.gaussian_filter(deviation**2, fwhm / 2)
    # White noise that is smoothed by a Gaussian keeps 1 / (4 pi width^2) of its
    # variance, twice over about twice that.
    noise = ndimage.gaussian_filter(error**2, fwhm / 2) / (2 * np.pi * width**2)
    wiener = np.maximum(signal - noise, 0) / np.maximum(signal, np.finfo(float).tiny)
    psf = profile + deviation * wiener * core_window(stack.shape[0], fwhm)
    return _centred(psf / psf.sum(), fwhm)


def _centred(psf: NDArray[np.float64], fwhm: float) -> NDArray[np.float64]:
    """Return a PSF moved so that its Gaussian-weighted centroid is the middle."""
    half = psf.shape[0] // 2
    v, u = np.mgrid[-half : half + 1, -half : half + 1]
    weight = psf * np.exp(-(u**2 + v**2) / (2 * (fwhm / 2.355) ** 2))
    # The weight halves the offset of a profile of its own width.
    dx, dy = (float(-2 * (weight * w).sum() / weight.sum()) for w in (u, v))
    return shift_stamp(psf, *np.clip((dx, dy), -1, 1))


def core_window(side: int, fwhm: float) -> NDArray[np.float64]:
    """Return 1 in the core of a stamp, falling smoothly to 0 in its wings."""
    half = side // 2
    last = min(_TAPER_TO * fwhm, half + 0.5)
    first = min(_TAPER_FROM * fwhm, 0.6 * last)
    v, u = np.mgrid[-half : half + 1, -half : half + 1]
    fall = np.clip((np.hypot(u, v) - first) / (last - first), 0, 1)
    falling: NDArray[np.float64] = 0.5 * (1 + np.cos(np.pi * fall))
    return falling


def _moffat(
    stack: NDArray[np.float64], fwhm: float
) -> tuple[NDArray[np.float64], float]:
    """Return the best-fitting Moffat profile, and the level that it stands on."""
    half = stack.shape[0] // 2
    v, u = np.mgrid[-half : half + 1, -half : half + 1].astype(float)
    # A pixel holds the mean of its area: the mean of nine points.
    inner = np.array([(i, j) for i in _THIRDS for j in _THIRDS])[
        ..., np.newaxis, np.newaxis
    ]
    beta = 3.0
    alpha = fwhm / (2 * np.sqrt(2 ** (1 / beta) - 1))
    start = np.array([0.0, 0.0, 1 / alpha**2, 0.0, 1 / alpha**2, beta])
    # Equal weights would leave the wings, most of the pixels, to the core's misfit.
    weight = 1 / np.sqrt(np.maximum(stack / stack.max(), 0) + 0.01)

    def shape(p: NDArray[np.float64]) -> NDArray[np.float64]:
        du, dv = u + inner[:, 0] - p[0], v + inner[:, 1] - p[1]
        form = p[2] * du**2 + 2 * p[3] * du * dv + p[4] * dv**2
        return np.asarray(((1 + np.maximum(form, 0)) ** -p[5]).mean(axis=0), float)

    def linear(p: NDArray[np.float64]) -> NDArray[np.float64]:
        design = np.column_stack([(shape(p) * weight).ravel(), weight.ravel()])
        solution: NDArray[np.float64] = np.linalg.lstsq(
            design, (stack * weight).ravel(), rcond=None
        )[0]
        return solution

    def residual(p: NDArray[np.float64]) -> NDArray[np.float64]:
        amplitude, level = linear(p)
        misfit = (amplitude * shape(p) + level - stack) * weight / stack.max()
        return np.asarray(misfit.ravel(), float)

    low = [-1, -1, 1e-4, -10, 1e-4, _BETA_RANGE[0]]
    high = [1, 1, 10, 10, 10, _BETA_RANGE[1]]
    found = least_squares(
        residual, start, bounds=(low, high), x_scale="jac", max_nfev=100
    )
    amplitude, level = linear(found.x)
    return amplitude * shape(found.x), float(level)
