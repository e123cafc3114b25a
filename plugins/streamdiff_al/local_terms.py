"""What varies over the image, as it is within the square of one candidate: planes.

The products of all pixels are then sums over three planes for each basis kernel,
whatever the order. Terms are planes but for (side of the square / image)^2.
"""

import numpy as np
from numpy.typing import NDArray

from streamdiff_al.cutout import Cutout


def times_planes(cutout: Cutout) -> NDArray[np.float64]:
    """Return the convolved images times 1, x and y from the middle; (3 n, m * m)."""
    side = len(cutout.usable)
    steps = np.arange(side) - side // 2.0
    planes = np.array([np.ones((side, side)), *np.meshgrid(steps, steps)])
    products: NDArray[np.float64] = cutout.convolved[:, np.newaxis] * planes
    return products.reshape(-1, side * side)


def as_planes(terms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values and slopes along x and y in the middle; shape (n_terms, 3).

    Parameters
    ----------
    terms : ndarray of float64, shape (n_terms, m, m)
    """
    middle = terms.shape[-1] // 2
    along_x, along_y = terms[:, middle], terms[:, :, middle]
    slopes = (
        (line[:, middle + 1] - line[:, middle - 1]) / 2 for line in (along_x, along_y)
    )
    return np.stack([along_x[:, middle], *slopes], axis=1)
