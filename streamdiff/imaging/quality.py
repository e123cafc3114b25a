"""Figures that tell how good a difference is: depth, sharpness, residuals of stars."""

from dataclasses import dataclass
from math import ceil, hypot, log10, pi, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamdiff.imaging.compiled import compiled
from streamdiff.imaging.noise import median, robust_std, typical_variance
from streamdiff.imaging.stamps import pixels_around
from streamdiff.imaging.stars import find_stars, known_stars
from streamdiff.model import (
    UNUSABLE,
    Difference,
    Exposure,
    FluxScale,
    MaskPlane,
    Psf,
)
from streamdiff.model.psf import fwhm, noise_equivalent_area

# AB magnitude of 1 nJy: 3631 Jy have magnitude 0.
AB_NANOJANSKY = 31.4
_LIMIT_SNR = 5.0
# Fewer tell little: the image is searched for others.
_FEW_STARS = 10
_MAX_STARS = 200
# So many pixels know a level to a thousandth.
_MAX_PIXELS = 1_000_000
_FILLED = UNUSABLE | MaskPlane.INTRP | MaskPlane.SAT_TEMPLATE


@dataclass(frozen=True, slots=True, kw_only=True)
class FootprintRatio:
    """The light that a difference leaves of stars, over the light of the stars.

    Attributes
    ----------
    mean, std : float
        Over the stars; NaN without any.
    n_stars : int
        How many there are.
    """

    mean: float
    std: float
    n_stars: int


def quality(
    difference: Difference, science: Exposure, template: Exposure
) -> dict[str, float]:
    """Return metrics of a difference; what can not be told is left out.

    Notes
    -----
    ``{science,template,difference}_psf_fwhm_pixel``, in the middle of the image.

    ``{science,template,difference}_limiting_magnitude``: AB, of a point source at 5
    sigma in blank sky, on the scale of the difference; ``..._limiting_flux`` of
    exposures without a zero point. That of the difference is the quadratic sum of
    the other two, which a lossless difference reaches.

    ``n_interpolated_pixels``: pixels without a measured value of their own in one
    of the images, of those that the difference has data for.

    ``difference_noise_ratio``, see `noise_ratio`.
    """
    values = {
        **_widths(difference, science, template),
        **_limits(difference, science, template),
        "n_interpolated_pixels": float(_n_filled(difference, science, template)),
        "difference_noise_ratio": noise_ratio(difference),
    }
    return _known(values)


def star_quality(difference: Difference, science: Exposure) -> dict[str, float]:
    """Return metrics of what a difference leaves of stars.

    Parameters
    ----------
    difference : Difference
        Not whitened yet: its PSF is to be that of the convolved images.
    science : Exposure

    Notes
    -----
    ``difference_footprint_ratio_{mean,stdev}``, see `footprint_ratio`, of the kernel
    candidates, or else, where these are few, of the brightest stars of the science
    image; left out if there are none. ``n_residual_stars``: how many.
    """
    ratio = footprint_ratio(difference, science, *_stars(difference, science))
    if not ratio.n_stars:
        return {}
    return {
        "difference_footprint_ratio_mean": ratio.mean,
        "difference_footprint_ratio_stdev": ratio.std,
        "n_residual_stars": float(ratio.n_stars),
    }


def noise_ratio(difference: Difference) -> float:
    """Return the scatter of blank sky over what the variance plane says.

    1 where that is right and the noise white; NaN if no pixel is usable.
    """
    thin = _thinned(difference.shape)
    variance = difference.variance[thin]
    usable = ~(_FILLED | MaskPlane.DETECTED).in_mask(difference.mask[thin])
    usable &= np.isfinite(variance) & (variance > 0)
    return robust_std(difference.image[thin][usable] / np.sqrt(variance[usable]))


def limiting_flux(exposure: Exposure, *, snr: float = _LIMIT_SNR) -> float:
    """Return the flux of a point source of some significance in blank sky.

    Parameters
    ----------
    exposure : Exposure
        It has a PSF.
    snr : float
        Signal-to-noise ratio.

    Returns
    -------
    float
        [unit of the image]; NaN if no pixel is usable.
    """
    thin = _thinned(exposure.shape)
    usable = ~UNUSABLE.in_mask(exposure.mask[thin]) & np.isfinite(exposure.image[thin])
    usable &= np.isfinite(exposure.variance[thin])
    if not usable.any():
        return float("nan")
    factor = np.broadcast_to(exposure.covariance_factor, exposure.shape)[thin]
    variance = typical_variance(exposure.variance[thin], usable)
    variance *= median(factor[usable])
    area = float(noise_equivalent_area(_central(exposure.psf, exposure.shape)))
    return snr * sqrt(variance * area)


def footprint_ratio(
    difference: Difference, science: Exposure, x: ArrayLike, y: ArrayLike
) -> FootprintRatio:
    """Return what a difference leaves of stars, beyond its noise.

    Parameters
    ----------
    difference : Difference
    science : Exposure
    x, y : array_like of float, shape (n,)
        Stars on the science image [pixel].

    Notes
    -----
    The ratio of a star is abs(mean abs(difference) - noise) / mean abs(science), in
    the disc of the PSF's full width around it, on one flux scale; noise is what
    abs(difference) is on average in blank sky.
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    finite = np.isfinite(x) & np.isfinite(y)
    radius = fwhm(_central(science.psf, science.shape))
    inside, pixels = _discs(science.shape, x[finite], y[finite], radius)
    inside &= ~_FILLED.in_mask(difference.mask[pixels] | science.mask[pixels])
    n = inside.sum(axis=(1, 2))
    seen = n > 0
    if not seen.any():
        return FootprintRatio(mean=float("nan"), std=float("nan"), n_stars=0)
    left, light = (
        np.where(inside, np.abs(plane[pixels]), 0).sum(axis=(1, 2), dtype=float)[seen]
        / n[seen]
        for plane in (difference.image, science.image)
    )
    light = np.maximum(light * _to_difference(difference), np.finfo(float).tiny)
    ratios = np.abs(left - _mean_noise(difference)) / light
    return FootprintRatio(
        mean=float(ratios.mean()), std=float(ratios.std()), n_stars=len(ratios)
    )


def _known(values: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if np.isfinite(value)}


def _stars(
    difference: Difference, science: Exposure
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    candidates = difference.kernel_candidates
    n_candidates = 0 if candidates is None else len(candidates)
    if candidates is not None and n_candidates >= _FEW_STARS:
        return candidates.x[:_MAX_STARS], candidates.y[:_MAX_STARS]
    stars = known_stars(science)
    if not len(stars):
        stars = find_stars(science, max_stars=_MAX_STARS, keep_blended=False)
    if candidates is not None and n_candidates >= len(stars):
        return candidates.x, candidates.y
    return stars.x[:_MAX_STARS], stars.y[:_MAX_STARS]


def _widths(
    difference: Difference, science: Exposure, template: Exposure
) -> dict[str, float]:
    images: dict[str, Exposure | Difference]
    images = {"science": science, "template": template, "difference": difference}
    return {
        f"{name}_psf_fwhm_pixel": fwhm(_central(image.psf, image.shape))
        for name, image in images.items()
    }


def _limits(
    difference: Difference, science: Exposure, template: Exposure
) -> dict[str, float]:
    of_science = limiting_flux(science) * _to_difference(difference)
    on_template = difference.flux_scale is FluxScale.TEMPLATE
    of_template = limiting_flux(template)
    of_template *= 1 if on_template else difference.kernel_sum
    fluxes = {
        "science": of_science,
        "template": of_template,
        "difference": hypot(of_science, of_template),
    }
    if not difference.photometric:
        return {f"{name}_limiting_flux": flux for name, flux in fluxes.items()}
    return {
        f"{name}_limiting_magnitude": AB_NANOJANSKY - 2.5 * log10(flux)
        for name, flux in fluxes.items()
        if flux > 0
    }


def _to_difference(difference: Difference) -> float:
    """Return what brings the science image to the scale of the difference."""
    is_same = difference.flux_scale is FluxScale.SCIENCE
    return 1.0 if is_same else 1 / difference.kernel_sum


def _n_filled(difference: Difference, science: Exposure, template: Exposure) -> int:
    return _count_filled(
        science.image,
        template.image,
        science.mask,
        template.mask,
        difference.mask,
        np.int32(_FILLED),
        np.int32(MaskPlane.NO_DATA),
    )


@compiled
def _count_filled(
    science: NDArray[np.float32],
    template: NDArray[np.float32],
    science_mask: NDArray[np.int32],
    template_mask: NDArray[np.int32],
    mask: NDArray[np.int32],
    filled: np.int32,
    no_data: np.int32,
) -> int:
    """Return how many pixels with data are filled, or not finite, in one image."""
    total = 0
    for y in range(mask.shape[0]):
        for x in range(mask.shape[1]):
            known = np.isfinite(science[y, x]) & np.isfinite(template[y, x])
            masked = ((science_mask[y, x] | template_mask[y, x]) & filled) != 0
            total += (masked | (not known)) & ((mask[y, x] & no_data) == 0)
    return total


def _mean_noise(difference: Difference) -> float:
    """Return the mean of abs(difference) in blank sky: that of a Gaussian."""
    thin = _thinned(difference.shape)
    usable = ~UNUSABLE.in_mask(difference.mask[thin])
    return sqrt(2 / pi) * robust_std(difference.image[thin][usable])


def _discs(
    shape: tuple[int, int],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    radius: float,
) -> tuple[NDArray[np.bool_], tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Return which pixels of stamps lie in discs, shape (n, m, m), and the stamps."""
    side = 2 * ceil(radius) + 1
    (rows, columns), inside = pixels_around(shape, x, y, (side, side))
    distance = np.hypot(
        rows - y[:, np.newaxis, np.newaxis], columns - x[:, np.newaxis, np.newaxis]
    )
    return inside & (distance <= radius), (rows, columns)


def _central(psf: Psf, shape: tuple[int, int]) -> NDArray[np.float64]:
    height, width = shape
    return psf.centred_at((width - 1) / 2, (height - 1) / 2)


def _thinned(shape: tuple[int, int]) -> tuple[slice, slice]:
    """Return every so many rows and columns of a large image."""
    step = slice(None, None, ceil(sqrt(shape[0] * shape[1] / _MAX_PIXELS)))
    return step, step
