"""Where cosmic rays spoil a score that was made with them."""

from math import isqrt

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.compiled import compiled
from streamdiff.imaging.noise import median
from streamdiff.imaging.places import Places
from streamdiff.model import Difference

# So much of them in a score makes no peak, nor hides one [sigma].
_SPOILT = 0.5
# So many pixels know a median to a thousandth.
_MAX_VALUES = 1_000_000
# Rows whose light is added together.
_STRIP = 64


def is_spoilt(
    difference: Difference, rays: Places, psf: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return True where cosmic rays change a score that came along; shape (ny, nx).

    The score is the difference filtered with its PSF: so are they.
    """
    step = max(isqrt(difference.variance.size // _MAX_VALUES), 1)
    variance = difference.variance[::step, ::step]
    known = np.isfinite(variance) & (variance > 0)
    sigma = np.sqrt(median(variance[known]) * np.sum(psf**2))
    spoilt = np.zeros(difference.shape, np.bool_)
    turned = np.ascontiguousarray(psf[::-1, ::-1])
    _mark_spoilt(difference.image, *rays, turned, _SPOILT * sigma, spoilt)
    return spoilt


@compiled
def _mark_spoilt(
    image: NDArray[np.float32],
    row: NDArray[np.intp],
    column: NDArray[np.intp],
    psf: NDArray[np.float64],
    least: float,
    spoilt: NDArray[np.bool_],
) -> None:
    """Mark where the light of pixels, each spread as a PSF with odd sides, is much."""
    height, width = image.shape
    ky, kx = psf.shape
    light = np.empty((_STRIP, width), np.float32)
    for start in range(0, height, _STRIP):
        stop = min(start + _STRIP, height)
        first = np.searchsorted(row, start - ky // 2)
        last = np.searchsorted(row, stop + ky // 2)
        if first == last:
            continue
        light[:] = 0
        for i in range(first, last):
            top, left = row[i] - ky // 2, column[i] - kx // 2
            for y in range(max(top, start), min(top + ky, stop)):
                for x in range(max(left, 0), min(left + kx, width)):
                    value = image[row[i], column[i]] * psf[y - top, x - left]
                    light[y - start, x] += value
        for y in range(start, stop):
            for x in range(width):
                spoilt[y, x] = abs(light[y - start, x]) > least
