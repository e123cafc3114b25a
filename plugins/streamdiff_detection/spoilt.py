"""Where cosmic rays spoil a score that was made with them."""

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.convolve import convolve
from streamdiff.model import Difference

# So much of them in a score makes no peak, nor hides one [sigma].
_SPOILT = 0.5


def is_spoilt(
    difference: Difference, rays: NDArray[np.bool_], psf: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return True where cosmic rays change a score that came along; shape (ny, nx).

    The score is the difference filtered with its PSF: so are they.
    """
    light = convolve(np.where(rays, difference.image, 0), psf[::-1, ::-1])
    known = np.isfinite(difference.variance) & (difference.variance > 0)
    variance = np.median(difference.variance[known])
    sigma = float(np.sqrt(variance * np.sum(psf**2)))
    spoilt: NDArray[np.bool_] = np.abs(light) > _SPOILT * sigma
    return spoilt
