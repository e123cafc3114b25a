"""How much more flux one exposure has than another, from their common stars."""

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from streamdiff.imaging.stamps import centred_psf_stamps, cut_stamps, pad_stamp
from streamdiff.imaging.stars import Stars, find_stars
from streamdiff.model import UNUSABLE, Exposure
from streamdiff.model.psf import fwhm

MIN_SNR = 30.0
MAX_STARS = 300
MIN_USABLE = 0.9
# A ratio that is known no better is none: a few stars that disagree do not tell it.
MAX_ERROR = 0.05
# Radii of the aperture, and of the annulus around it [FWHM].
APERTURE, ANNULUS = 1.8, 2.4


def reference_stars(exposure: Exposure) -> Stars:
    """Return the stars of an exposure that others can be compared at."""
    return find_stars(exposure, threshold=MIN_SNR, max_stars=MAX_STARS)


def flux_ratio(
    exposure: Exposure, reference: Exposure, stars: Stars, *, min_stars: int = 3
) -> float | None:
    """Return the flux of stars in an exposure over that in a reference.

    Parameters
    ----------
    exposure, reference : Exposure
        On the same pixels, with their PSFs.
    stars : Stars
        Stars of the reference.
    min_stars : int
        Fewer common stars give no ratio.

    Returns
    -------
    float or None
        Median over the stars; `None` if it can not be told to 5 %.

    Notes
    -----
    Each image is convolved with the PSF of the other. Both then have the same
    PSF, and with it the same blends: the ratio depends neither on the seeing nor
    on the neighbours. Fluxes are those in an aperture so wide that errors of the
    PSFs, whose sums are 1, hardly matter, over the mean of the annulus around it.

    The error of the median is taken for the mean deviation from it over the root of
    the number of stars. Unlike the median deviation, it is not small for a few stars
    two of which agree by chance. Stars that vary count as off by all of the ratio.
    """
    if not len(stars):
        return None
    psfs = [centred_psf_stamps(e.psf, stars.x, stars.y) for e in (exposure, reference)]
    width = np.hypot(fwhm(psfs[0].mean(axis=0)), fwhm(psfs[1].mean(axis=0)))
    side = max(max(p.shape[1:]) for p in psfs)
    psf, reference_psf = (pad_stamp(p, (side, side)) for p in psfs)
    aperture = _aperture(float(width))
    core = len(aperture)
    side += core - 1
    ours, theirs = (
        cut_stamps(e, stars.x, stars.y, (side, side), exclude=UNUSABLE)
        for e in (exposure, reference)
    )
    usable = ours.usable & theirs.usable
    common = _mostly(usable, core)
    if common.sum() < min_stars:
        return None
    # What one image lacks is taken from both.
    a = _convolved((ours.image * usable)[common], reference_psf[common])
    b = _convolved((theirs.image * usable)[common], psf[common])
    return _agreed(np.tensordot(a, aperture) / np.tensordot(b, aperture))


def _agreed(ratios: NDArray[np.float64]) -> float | None:
    """Return the median of ratios, `None` if it is not well known."""
    middle = float(np.median(ratios))
    if not (np.isfinite(middle) and middle > 0):
        return None
    deviation = np.minimum(np.abs(ratios - middle), middle)
    error = float(np.mean(deviation)) / np.sqrt(len(ratios))
    return middle if error <= MAX_ERROR * middle else None


def _mostly(usable: NDArray[np.bool_], core: int) -> NDArray[np.bool_]:
    """Return for which stamps all of the core and most of the rest is usable."""
    border = (usable.shape[1] - core) // 2
    inner = usable[:, border : border + core, border : border + core]
    mostly = usable.mean(axis=(1, 2)) >= MIN_USABLE
    return np.asarray(inner.all(axis=(1, 2)) & mostly)


def _convolved(
    stamps: NDArray[np.float64], kernels: NDArray[np.float64]
) -> NDArray[np.float64]:
    convolved: NDArray[np.float64] = fftconvolve(
        stamps, kernels, mode="valid", axes=(1, 2)
    )
    return convolved


def _aperture(width: float) -> NDArray[np.float64]:
    """Return the weights of an aperture minus those of the annulus around it."""
    inner, outer = APERTURE * width, ANNULUS * width
    half = int(np.ceil(outer))
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    radius = np.hypot(x, y)
    inside, around = radius <= inner, (radius > inner) & (radius <= outer)
    weights: NDArray[np.float64] = inside / inside.sum() - around / around.sum()
    return weights
