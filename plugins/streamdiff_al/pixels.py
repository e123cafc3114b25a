"""The pixels of an exposure, and what they are good for."""

from dataclasses import dataclass, replace
from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.compiled import compiled
from streamdiff.imaging.interpolate import fill_unusable
from streamdiff.imaging.noise import typical_variance
from streamdiff.model import UNUSABLE, Exposure, MaskPlane

# Transforms in single precision spread 4e-10 of a pixel's value over its block: what
# exceeds the typical noise so many times is no measurement, and a hundred pixels of
# it would drown their surroundings.
_ABSURD_SIGMA, _ABSURD_VARIANCE = 1e9, 1e7
# So many pixels along each axis tell the typical noise.
_SAMPLES = 256


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pixels:
    """The pixels of an exposure, and what they are good for.

    Attributes
    ----------
    image, variance : ndarray of float32, shape (ny, nx)
    mask : ndarray of int32, shape (ny, nx)
    usable, saturated : ndarray of bool, shape (ny, nx)
    no_data : ndarray of bool, shape (ny, nx)
        Whether a pixel is NO_DATA, not finite in image or variance, absurd, or of
        no variance: no measurement is without noise.
    """

    image: NDArray[np.float32]
    variance: NDArray[np.float32]
    mask: NDArray[np.int32]
    usable: NDArray[np.bool_]
    saturated: NDArray[np.bool_]
    no_data: NDArray[np.bool_]

    @classmethod
    def of(cls, exposure: Exposure) -> "Pixels":
        """Return the pixels of an exposure, as they are."""
        usable, saturated, no_data = (
            np.empty(exposure.shape, np.bool_) for _ in range(3)
        )
        # Where no pixel has a variance, nothing is of this world.
        typical = _typical_variance(exposure)
        _classify(
            (exposure.image, exposure.variance, exposure.mask),
            (np.int32(UNUSABLE), np.int32(MaskPlane.SAT), np.int32(MaskPlane.NO_DATA)),
            (_ABSURD_SIGMA * sqrt(typical), _ABSURD_VARIANCE * typical),
            (usable, saturated, no_data),
        )
        return cls(
            image=exposure.image,
            variance=exposure.variance,
            mask=exposure.mask,
            usable=usable,
            saturated=saturated,
            no_data=no_data,
        )

    def filled(self) -> "Pixels":
        """Return pixels that are finite everywhere, unusable ones interpolated.

        The value of a saturated pixel is a lower limit: what lies around it is less
        still, and would tear a dark ring around the star. So it is not lowered.
        """
        unusable = ~self.usable
        image = fill_unusable(self.image, unusable)
        np.maximum(image, self.image, out=image, where=self.saturated & ~self.no_data)
        variance = fill_unusable(self.variance, unusable)
        return replace(self, image=image, variance=variance)


def _typical_variance(exposure: Exposure) -> float:
    """Return the variance of blank sky, NaN if no pixel has any."""
    sparse = tuple(slice(None, None, ceil(n / _SAMPLES)) for n in exposure.shape)
    for part in (sparse, np.s_[:, :]):
        has_data = ~MaskPlane.NO_DATA.in_mask(exposure.mask[part])
        typical = typical_variance(exposure.variance[part], has_data)
        if np.isfinite(typical):
            break
    return typical


@compiled
def _classify(
    planes: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]],
    bits: tuple[np.int32, np.int32, np.int32],
    largest: tuple[float, float],
    classes: tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]],
) -> None:
    """Fill in which pixels are usable, saturated, and without data.

    Data are finite, at most the ``largest`` image and variance, and have noise.
    """
    (image, variance, mask), (unusable, full, empty) = planes, bits
    usable, saturated, no_data = classes
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            # No comparison with NaN is true; without branches, pixels go in groups.
            measured = (abs(image[y, x]) <= largest[0]) & (mask[y, x] & empty == 0)
            measured &= (variance[y, x] > 0) & (variance[y, x] <= largest[1])
            no_data[y, x] = not measured
            saturated[y, x] = mask[y, x] & full != 0
            usable[y, x] = measured & (mask[y, x] & unusable == 0)
