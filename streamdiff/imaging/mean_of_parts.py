"""The weighted mean of images that each show a part of the same pixels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.compiled import compiled
from streamdiff.imaging.resample import Bits, Flags, Plane, Planes
from streamdiff.model import MaskPlane

Float = np.float32

_NO_DATA = int(MaskPlane.NO_DATA)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Added:
    """What a part gives to the mean.

    Attributes
    ----------
    n_usable : int
        Its pixels that are not NO_DATA.
    known : ndarray of bool, shape (ny, nx)
        Which of its pixels have a weight.
    mean_weight : float
        Of these.
    """

    n_usable: int
    known: NDArray[np.bool_]
    mean_weight: float


class MeanOfParts:
    """Planes of parts, averaged with weights variance^(-1/2).

    Parameters
    ----------
    shape : tuple of int
        (height, width) of the whole.

    Notes
    -----
    The variance is averaged with the same weights instead of being propagated: where
    parts overlap they are made of the same exposures.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self._image, self._variance, self._power, self._weight = (
            np.zeros(shape, np.float32) for _ in range(4)
        )
        self._mask = np.zeros(shape, np.int32)

    def add(self, part: Planes, rows: slice, columns: slice) -> Added:
        """Add the planes of a part, which has these rows and columns of the whole."""
        image, variance, mask, factor = part.arrays()
        known = np.zeros(image.shape, np.bool_)
        n_usable, n_known, total = _add(
            image,
            variance,
            mask,
            factor,
            known,
            (rows.start, columns.start),
            self._image,
            self._variance,
            self._power,
            self._weight,
            self._mask,
        )
        return Added(
            n_usable=n_usable, known=known, mean_weight=total / max(n_known, 1)
        )

    def take(self) -> Planes:
        """Return the means, and leave nothing: to be called once.

        NO_DATA, 0 and of infinite variance where no part has a weight.
        """
        _divide(self._image, self._variance, self._power, self._weight, self._mask)
        planes = Planes(
            image=self._image,
            variance=self._variance,
            mask=self._mask,
            covariance_factor=self._power,
        )
        self.__dict__.clear()
        return planes


@compiled
def _add(
    image: Plane,
    variance: Plane,
    mask: Bits,
    factor: Plane,
    known: Flags,
    corner: tuple[int, int],
    sum_image: Plane,
    sum_variance: Plane,
    sum_power: Plane,
    sum_weight: Plane,
    all_bits: Bits,
) -> tuple[int, int, float]:
    """Add a part to the sums from a corner on, and return how much of it there is."""
    top, left = corner
    n_usable, n_known, total = 0, 0, 0.0
    is_map = factor.size > 1
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            bits = mask[row, column]
            if bits & _NO_DATA:
                continue
            n_usable += 1
            value, noise = image[row, column], variance[row, column]
            if not (np.isfinite(value) and np.isfinite(noise) and noise > 0):
                continue
            known[row, column] = True
            n_known += 1
            weight = Float(1) / np.sqrt(noise)
            total += weight
            weighted = weight * noise
            power = factor[row, column] if is_map else factor[0, 0]
            y, x = top + row, left + column
            sum_image[y, x] += weight * value
            sum_variance[y, x] += weighted
            sum_power[y, x] += weighted * power
            sum_weight[y, x] += weight
            all_bits[y, x] |= bits
    return n_usable, n_known, total


@compiled
def _divide(
    image: Plane, variance: Plane, power: Plane, weight: Plane, mask: Bits
) -> None:
    """Turn sums into means; power becomes the covariance factor."""
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            total = weight[row, column]
            if total > 0:
                image[row, column] /= total
                power[row, column] /= variance[row, column]
                variance[row, column] /= total
            else:
                mask[row, column] = _NO_DATA
                variance[row, column] = np.inf
                power[row, column] = 1
