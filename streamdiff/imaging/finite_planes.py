"""The planes of an exposure without what is no measurement, compiled."""

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.compiled import compiled
from streamdiff.model import Exposure, MaskPlane


def finite_planes(
    exposure: Exposure, bad: MaskPlane
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Return image and variance, finite everywhere, and what has no data.

    Parameters
    ----------
    exposure : Exposure
    bad : MaskPlane
        Pixels of these planes count as without data.

    Returns
    -------
    image, variance : ndarray of float32, shape (ny, nx)
        0 and 1 where there are no data.
    unusable : ndarray of bool, shape (ny, nx)
        True on bad pixels, where image or variance is not finite, and where the
        variance is not positive.
    """
    image, variance = (np.empty(exposure.shape, np.float32) for _ in range(2))
    unusable = np.empty(exposure.shape, np.bool_)
    planes = (exposure.image, exposure.variance, exposure.mask)
    _copy_measured(planes, np.int32(bad), image, variance, unusable)
    return image, variance, unusable


@compiled
def _copy_measured(
    planes: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]],
    bad: np.int32,
    to_image: NDArray[np.float32],
    to_variance: NDArray[np.float32],
    unusable: NDArray[np.bool_],
) -> None:
    image, variance, mask = planes
    zero, one, infinite = np.float32(0), np.float32(1), np.float32(np.inf)
    for y in range(unusable.shape[0]):
        for x in range(unusable.shape[1]):
            # No comparison with NaN is true; without branches, pixels go in groups.
            measured = (mask[y, x] & bad == 0) & (abs(image[y, x]) < infinite)
            measured &= (variance[y, x] > zero) & (variance[y, x] < infinite)
            unusable[y, x] = not measured
            to_image[y, x] = image[y, x] if measured else zero
            to_variance[y, x] = variance[y, x] if measured else one
