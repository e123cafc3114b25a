"""The noise that errors of the registration add to the score.

Zackay, Ofek & Gal-Yam 2016, ApJ 830, 27, Eqs. 30-33.
"""

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.compiled import compiled

# Pixels on either side that derivatives take.
_MARGIN = 2


def astrometric_variance(
    science_score: NDArray[np.float32],
    template_score: NDArray[np.float32],
    sigma_x: float,
    sigma_y: float,
) -> NDArray[np.float32]:
    """Return the variance of the score where stars are shifted at random.

    Parameters
    ----------
    science_score, template_score : ndarray of float32, shape (ny, nx)
        The two parts of the score, whose difference it is.
    sigma_x, sigma_y : float
        Scatter of the shifts from one image to the other along each axis [pixel].

    Returns
    -------
    ndarray of float32, shape (ny, nx)
        At least 0.

    Notes
    -----
    There are two departures from the paper. In place of the square of a derivative
    stands the product of those of both images. On static sources it is the same;
    but the noise of the two images is independent, so that it averages to nothing on
    blank sky, and a transient, which only one of them shows, does not hide itself.
    And there is the term of second order in the shift, a quarter of the mean square
    of its second derivative: it counts in the cores of bright stars, where the first
    derivative is 0.

    The shift is that of the images relative to each other: it counts once.
    """
    science, template = (
        np.pad(score, _MARGIN, mode="edge") for score in (science_score, template_score)
    )
    variance = np.empty(science_score.shape, np.float32)
    _propagate(
        science, template, np.array([sigma_x**2, sigma_y**2], np.float32), variance
    )
    return variance


@compiled
def _propagate(
    a: NDArray[np.float32],
    b: NDArray[np.float32],
    var: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """Fill in the variance; ``a`` and ``b`` have a margin around it."""
    # Differences of fourth order: the score is well sampled. All are 12 x too large.
    for j in range(out.shape[0]):
        for i in range(out.shape[1]):
            y, x = j + 2, i + 2
            ax = a[y, x - 2] - a[y, x + 2] + 8 * (a[y, x + 1] - a[y, x - 1])
            bx = b[y, x - 2] - b[y, x + 2] + 8 * (b[y, x + 1] - b[y, x - 1])
            ay = a[y - 2, x] - a[y + 2, x] + 8 * (a[y + 1, x] - a[y - 1, x])
            by = b[y - 2, x] - b[y + 2, x] + 8 * (b[y + 1, x] - b[y - 1, x])
            slope = var[0] * ax * bx + var[1] * ay * by

            axx = 16 * (a[y, x - 1] + a[y, x + 1]) - a[y, x - 2] - a[y, x + 2]
            bxx = 16 * (b[y, x - 1] + b[y, x + 1]) - b[y, x - 2] - b[y, x + 2]
            ayy = 16 * (a[y - 1, x] + a[y + 1, x]) - a[y - 2, x] - a[y + 2, x]
            byy = 16 * (b[y - 1, x] + b[y + 1, x]) - b[y - 2, x] - b[y + 2, x]
            axx, ayy = var[0] * (axx - 30 * a[y, x]), var[1] * (ayy - 30 * a[y, x])
            bxx, byy = var[0] * (bxx - 30 * b[y, x]), var[1] * (byy - 30 * b[y, x])
            axy = a[y - 1, x - 1] + a[y + 1, x + 1] - a[y - 1, x + 1] - a[y + 1, x - 1]
            bxy = b[y - 1, x - 1] + b[y + 1, x + 1] - b[y - 1, x + 1] - b[y + 1, x - 1]
            # For Gaussian shifts: (trace)^2 + 2 (sum of the squares of all elements).
            bend = (axx + ayy) * (bxx + byy) + 2 * (axx * bxx + ayy * byy)
            bend += 36 * var[0] * var[1] * axy * bxy
            out[j, i] = max(slope + bend / 4, 0) / 144
