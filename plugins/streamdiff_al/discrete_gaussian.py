"""A Gaussian on whole pixels, however narrow."""

from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import fft

# Half the side over the width of the longest axis; what is cut off is below 1e-3.
_HALF_PER_SIGMA = 4.0
_SMALLEST_HALF = 3


def discrete_gaussian(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a smoothing kernel of sum 1 with given second moments.

    Parameters
    ----------
    covariance : ndarray of float64, shape (2, 2)
        In x and y [pixel**2]; positive semi-definite.

    Returns
    -------
    ndarray of float64, shape (side, side)
        The side is odd.

    Notes
    -----
    A sampled Gaussian narrower than a pixel has other moments than it should, and
    one that is a line can not be sampled at all. This is the discrete analogue of
    Lindeberg 1990, IEEE Trans. PAMI 12, 234, in two dimensions: in its transform
    the terms k_x**2 and k_x k_y of a Gaussian's exponent are replaced by
    2 - 2 cos(k_x) and sin(k_x) sin(k_y). It goes smoothly to a single pixel where
    the covariance goes to 0, and has no zero at any frequency.
    """
    longest = float(np.linalg.eigvalsh(covariance)[-1])
    half = _SMALLEST_HALF + ceil(_HALF_PER_SIGMA * sqrt(max(longest, 0)))
    side = 2 * half + 1
    grid = 2 * side
    ky = 2 * np.pi * fft.fftfreq(grid)[:, np.newaxis]
    kx = 2 * np.pi * fft.rfftfreq(grid)
    exponent = covariance[0, 0] * (1 - np.cos(kx))
    exponent = exponent + covariance[1, 1] * (1 - np.cos(ky))
    exponent = exponent + covariance[0, 1] * np.sin(kx) * np.sin(ky)
    kernel = np.roll(
        fft.irfft2(np.exp(-exponent), s=(grid, grid)), (half, half), (0, 1)
    )
    cropped = kernel[:side, :side]
    normalised: NDArray[np.float64] = cropped / cropped.sum()
    return normalised
