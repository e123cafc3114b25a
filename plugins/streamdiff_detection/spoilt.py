"""Where cosmic rays spoil a score that was made with them."""

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.compiled import compiled
from streamdiff.imaging.noise import median
from streamdiff.imaging.places import places
from streamdiff.model import Difference

# So much of them in a score makes no peak, nor hides one [sigma].
_SPOILT = 0.5


def is_spoilt(
    difference: Difference, rays: NDArray[np.bool_], psf: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return True where cosmic rays change a score that came along; shape (ny, nx).

    The score is the difference filtered with its PSF: so are they.
    """
    light = np.zeros(difference.shape, np.float32)
    _add_light(difference.image, *places(rays), psf[::-1, ::-1].copy(), light)
    known = np.isfinite(difference.variance) & (difference.variance > 0)
    sigma = float(np.sqrt(median(difference.variance[known]) * np.sum(psf**2)))
    spoilt: NDArray[np.bool_] = np.abs(light) > _SPOILT * sigma
    return spoilt


@compiled
def _add_light(
    image: NDArray[np.float32],
    row: NDArray[np.intp],
    column: NDArray[np.intp],
    psf: NDArray[np.float64],
    light: NDArray[np.float32],
) -> None:
    """Add the light of pixels, each spread as a PSF with odd sides."""
    height, width = image.shape
    ky, kx = psf.shape
    for i in range(len(row)):
        top, left = row[i] - ky // 2, column[i] - kx // 2
        for y in range(max(top, 0), min(top + ky, height)):
            for x in range(max(left, 0), min(left + kx, width)):
                light[y, x] += image[row[i], column[i]] * psf[y - top, x - left]
