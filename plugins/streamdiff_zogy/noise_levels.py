"""How the noise of two exposures compares, over the image."""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from streamdiff.errors import SubtractionError
from streamdiff.imaging.noise import typical_variance
from streamdiff.model import Exposure, MaskPlane
from streamdiff_zogy.pixels import PixelPair

_DETECTED = MaskPlane.DETECTED | MaskPlane.DETECTED_NEGATIVE
# Boxes that the noise is measured in [pixel], and the least fraction that counts.
_BOX, _MIN_USABLE = 256, 0.05
# Every fourth pixel along each axis is enough.
_STEP = 4
_SMOOTHING = 3
# Beyond this ratio of powers, one image would be deconvolved with the other's PSF.
_MAX_RATIO = 1e4
# The optimum is flat: noise that varies less than this counts as constant.
_CONSTANT = 0.2


@dataclass(frozen=True, eq=False, kw_only=True)
class NoiseLevels:
    """Noise powers of blank sky in boxes.

    Attributes
    ----------
    science, template : ndarray of float64, shape (by, bx)
    image_shape : tuple of int
        (height, width) of the images.
    """

    science: NDArray[np.float64]
    template: NDArray[np.float64]
    image_shape: tuple[int, int]

    @classmethod
    def of(cls, pair: PixelPair, exposure: Exposure) -> "NoiseLevels":
        """Return the noise of two exposures.

        Parameters
        ----------
        pair : PixelPair
        exposure : Exposure
            The science exposure; what was detected on it is left out.

        Raises
        ------
        SubtractionError
            If neither image has noise.
        """
        sky = pair.usable & ~_DETECTED.in_mask(exposure.mask)
        if not sky.any():
            sky = pair.usable
        science, template = (
            _levels(pixels.power, sky) for pixels in (pair.science, pair.template)
        )
        if not np.all(science + template > 0):
            raise SubtractionError(
                f"{exposure.id}: no pixel of science image or template has a positive "
                "variance: the noise of their difference is unknown"
            )
        return cls(science=science, template=template, image_shape=exposure.shape)

    @property
    def typical(self) -> tuple[float, float]:
        """Return the median powers of both images."""
        return float(np.median(self.science)), float(np.median(self.template))

    @cached_property
    def is_constant(self) -> bool:
        """Return whether the ratio of the powers is the same everywhere."""
        ratio = self._log_ratio
        return bool(np.ptp(ratio) < _CONSTANT)

    def ratio_at(self, x: float, y: float) -> float:
        """Return the power of the science image over that of the template."""
        height, width = self.image_shape
        rows, columns = self._log_ratio.shape
        where = [
            [(y + 0.5) / height * rows - 0.5],
            [(x + 0.5) / width * columns - 0.5],
        ]
        value = ndimage.map_coordinates(self._log_ratio, where, order=1, mode="nearest")
        return float(np.exp(value.item()))

    @cached_property
    def _log_ratio(self) -> NDArray[np.float64]:
        floor = (self.science + self.template) / _MAX_RATIO
        ratio = np.log(np.maximum(self.science, floor))
        ratio -= np.log(np.maximum(self.template, floor))
        smooth: NDArray[np.float64] = ndimage.uniform_filter(
            ratio, _SMOOTHING, mode="nearest"
        )
        return smooth


def _levels(power: NDArray[np.float32], sky: NDArray[np.bool_]) -> NDArray[np.float64]:
    overall = typical_variance(power, sky)
    rows, columns = (
        np.linspace(0, n, max(1, round(n / _BOX)) + 1).astype(int) for n in power.shape
    )
    levels = np.full((len(rows) - 1, len(columns) - 1), overall)
    for j, (bottom, top) in enumerate(pairwise(rows)):
        for i, (left, right) in enumerate(pairwise(columns)):
            box = np.s_[bottom:top:_STEP, left:right:_STEP]
            if sky[box].mean() >= _MIN_USABLE:
                levels[j, i] = typical_variance(power[box], sky[box])
    return levels
