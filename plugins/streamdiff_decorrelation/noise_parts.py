"""The noise that each of the two exposures adds to a difference."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamdiff.errors import SubtractionError
from streamdiff.imaging.interpolate import fill_unusable
from streamdiff.imaging.noise import typical_variance
from streamdiff.model import (
    UNUSABLE,
    Convolved,
    Difference,
    Exposure,
    FluxScale,
    MaskPlane,
)

_NOT_SKY = UNUSABLE | MaskPlane.DETECTED | MaskPlane.DETECTED_NEGATIVE
# Beyond this ratio, whitening would be the deconvolution of one image.
_MAX_RATIO = 1e4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NoiseParts:
    """Noise powers at frequency 0, on the flux scale of a difference.

    Attributes
    ----------
    unconvolved, convolved : ndarray of float32, shape (ny, nx)
        Of the exposure that was left as it was, and of the other one before its
        convolution. Finite everywhere.
    ratio : float
        Typical power of the second in blank sky over that of the first.
    covariance_factor : float or ndarray of float32, shape (ny, nx)
        Of the exposure that was left as it was.
    """

    unconvolved: NDArray[np.float32]
    convolved: NDArray[np.float32]
    ratio: float
    covariance_factor: float | NDArray[np.float32]

    @classmethod
    def of(
        cls, difference: Difference, science: Exposure, template: Exposure
    ) -> "NoiseParts":
        """Return what two exposures add to their difference.

        Raises
        ------
        SubtractionError
            If neither exposure has a pixel of positive variance.
        """
        scaled = [(science, 1.0), (template, difference.kernel_sum)]
        if difference.flux_scale is FluxScale.TEMPLATE:
            scaled = [(e, scale / difference.kernel_sum) for e, scale in scaled]
        if difference.convolved is Convolved.SCIENCE:
            scaled.reverse()
        (fixed, _), _ = scaled
        unconvolved, convolved = (_power(e, scale) for e, scale in scaled)
        low, high = (_level(e, scale) for e, scale in scaled)
        if not low + high > 0:
            raise SubtractionError(
                f"{difference.id}: no pixel of science image or template has a "
                "positive variance: the noise of their difference is unknown"
            )
        return cls(
            unconvolved=unconvolved,
            convolved=convolved,
            ratio=high / max(low, high / _MAX_RATIO),
            covariance_factor=fixed.covariance_factor,
        )


def _power(exposure: Exposure, scale: float) -> NDArray[np.float32]:
    power = exposure.variance * np.float32(scale**2) * exposure.covariance_factor
    power = np.where(power >= 0, power, np.nan)
    return fill_unusable(power, UNUSABLE.in_mask(exposure.mask))


def _level(exposure: Exposure, scale: float) -> float:
    """Return the typical power in blank sky, or anywhere if no sky is blank."""
    power = np.asarray(exposure.variance * exposure.covariance_factor)
    level = typical_variance(power, ~_NOT_SKY.in_mask(exposure.mask))
    if np.isnan(level):
        level = typical_variance(power, np.ones(power.shape, bool))
    return 0.0 if np.isnan(level) else level * scale**2
