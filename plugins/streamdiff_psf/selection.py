"""Which stars are to make the PSF."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from streamdiff.imaging.stars import Stars

# Width of the stellar locus: stars scatter less, galaxies and cosmic rays more.
_LOCUS = 0.2
_ELONGATION = 0.3
# Narrower than any star on square pixels: hits on single pixels.
_MIN_FWHM = 1.3
_MODE_WIDTH = 0.05
_MODE_STARS = 1000
_CELLS = 6
# A brighter S/N than this adds little: other errors are as large.
_ENOUGH_SNR = 1000.0
_CONTAMINATION = 5.0
_TOO_CONTAMINATED = 0.5


def stellar_width(stars: Stars) -> float:
    """Return the FWHM [pixel] at which the brighter stars crowd: a mode.

    Bright stars count more: neighbours widen them less. Galaxies and blends are
    wider and scatter, cosmic rays are narrower and few.
    """
    wide = np.flatnonzero(stars.fwhm > _MIN_FWHM)[:_MODE_STARS]
    stars = stars.take(wide) if wide.size else stars
    logarithm = np.log(stars.fwhm)
    weight = np.minimum(stars.snr, _ENOUGH_SNR)
    distance = np.subtract.outer(logarithm, logarithm) / _MODE_WIDTH
    density = np.exp(-0.5 * distance**2) @ weight
    near = np.exp(-0.5 * distance[np.argmax(density)] ** 2) * weight
    return float(np.exp(np.average(logarithm, weights=near)))


def select_stars(
    stars: Stars,
    usable: NDArray[np.bool_],
    *,
    min_snr: float,
    max_stars: int,
    image_shape: tuple[int, int],
) -> NDArray[np.intp]:
    """Return the rows of the best stars, spread over the image.

    Parameters
    ----------
    stars : Stars
        Everything that was found: neighbours count.
    usable : ndarray of bool, shape (n,)
        False for stars that must not be chosen.
    min_snr : float
    max_stars : int
    image_shape : tuple of int
        (height, width).
    """
    bright = usable & (stars.snr >= min_snr) & (stars.fwhm > _MIN_FWHM)
    if not bright.any():
        return np.zeros(0, np.intp)
    fwhm = stellar_width(stars.take(bright))
    on_locus = bright & (np.abs(np.log(stars.fwhm / fwhm)) <= _LOCUS)
    if not on_locus.any():
        return np.zeros(0, np.intp)
    typical = np.median(stars.elongation[on_locus])
    on_locus &= np.abs(np.log(stars.elongation / typical)) <= _ELONGATION
    contamination = _contamination(stars, fwhm)
    rows = np.flatnonzero(on_locus & (contamination <= _TOO_CONTAMINATED))
    value = np.minimum(stars.snr, _ENOUGH_SNR) / (1 + _CONTAMINATION * contamination)
    return _spread(rows, value[rows], stars, image_shape)[:max_stars]


def _contamination(stars: Stars, fwhm: float) -> NDArray[np.float64]:
    """Return the light of neighbours on each star's core, relative to its own."""
    tree = cKDTree(np.column_stack([stars.x, stars.y]))
    light = np.zeros(len(stars))
    pairs = tree.query_pairs(3 * fwhm, output_type="ndarray")
    if len(pairs):
        i, j = pairs.T
        distance = np.hypot(stars.x[i] - stars.x[j], stars.y[i] - stars.y[j])
        spill = 1 / (1 + (distance / fwhm) ** 2) ** 2
        np.add.at(light, i, stars.flux[j] / stars.flux[i] * spill)
        np.add.at(light, j, stars.flux[i] / stars.flux[j] * spill)
    return light


def _spread(
    rows: NDArray[np.intp],
    value: NDArray[np.float64],
    stars: Stars,
    image_shape: tuple[int, int],
) -> NDArray[np.intp]:
    """Return rows so that the best of every cell come first, then the second."""
    height, width = image_shape
    cell = (stars.y[rows] * _CELLS // height) * _CELLS + stars.x[rows] * _CELLS // width
    order = np.lexsort((-value, cell))
    _, first, counts = np.unique(cell[order], return_index=True, return_counts=True)
    rank = np.arange(len(order)) - np.repeat(first, counts)
    return rows[order][np.lexsort((-value[order], rank))]
