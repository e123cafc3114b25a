"""How the noise of two exposures compares, over the image."""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from streamdiff.imaging.noise import typical_variance
from streamdiff.model import Exposure, MaskPlane

_DETECTED = MaskPlane.DETECTED | MaskPlane.DETECTED_NEGATIVE
# Boxes that the noise is measured in [pixel], and the least fraction that counts.
_BOX, _MIN_USABLE = 256, 0.05
# So many pixels along each axis of a box are enough.
_SAMPLES = 32
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
    def of(
        cls, science: Exposure, template: Exposure, usable: NDArray[np.bool_]
    ) -> "NoiseLevels":
        """Return the noise of two exposures.

        Parameters
        ----------
        science, template : Exposure
            What was detected on the science exposure is left out.
        usable : ndarray of bool, shape (ny, nx)
            Pixels that are good in both.
        """
        levels = [
            _levels(exposure, usable, science.mask) for exposure in (science, template)
        ]
        return cls(science=levels[0], template=levels[1], image_shape=science.shape)

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


def _levels(
    exposure: Exposure, usable: NDArray[np.bool_], detected: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Return the noise power in boxes, that of all where too little is usable."""
    rows, columns = (
        np.linspace(0, n, max(1, round(n / _BOX)) + 1).astype(int)
        for n in exposure.shape
    )
    factor = np.broadcast_to(exposure.covariance_factor, exposure.shape)
    levels = np.full((len(rows) - 1, len(columns) - 1), np.nan)
    for j, (bottom, top) in enumerate(pairwise(rows)):
        for i, (left, right) in enumerate(pairwise(columns)):
            box = np.s_[
                bottom : top : _step(top - bottom), left : right : _step(right - left)
            ]
            sky = usable[box] & ~_DETECTED.in_mask(detected[box])
            if sky.mean() < _MIN_USABLE:
                sky = usable[box]
            if sky.mean() >= _MIN_USABLE:
                power = exposure.variance[box] * factor[box]
                levels[j, i] = typical_variance(power, sky)
    known = np.isfinite(levels)
    if not known.any():
        return np.full(levels.shape, typical_variance(exposure.variance, usable))
    return np.where(known, levels, np.median(levels[known]))


def _step(length: int) -> int:
    return max(1, length // _SAMPLES)
