"""The covariance factor of a difference, from those of the two exposures."""

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.compiled import compiled
from streamdiff.model import Exposure


def combine_covariance(
    science: Exposure, template: Exposure, kernel_sum: float
) -> float | NDArray[np.float32]:
    """Return the covariance factor of a difference.

    It is the mean of those of the two exposures, weighted with what each adds to
    the variance at zero frequency, where the kernel has the value of its sum.
    """
    factors = [np.asarray(e.covariance_factor) for e in (science, template)]
    if all(f.ndim == 0 for f in factors) and factors[0] == factors[1]:
        return float(factors[0])
    combined = np.empty(science.shape, np.float32)
    planes = [np.broadcast_to(f.astype(np.float32), science.shape) for f in factors]
    scale = np.float32(kernel_sum**2)
    _fill(science.variance, template.variance, scale, planes[0], planes[1], combined)
    return combined


@compiled
def _fill(
    science: NDArray[np.float32],
    template: NDArray[np.float32],
    scale: np.float32,
    of_science: NDArray[np.float32],
    of_template: NDArray[np.float32],
    combined: NDArray[np.float32],
) -> None:
    height, width = combined.shape
    for y in range(height):
        for x in range(width):
            total = science[y, x] + scale * template[y, x]
            # Where either variance says nothing, the parts are equal.
            share = np.float32(0.5)
            if 0 < total < np.inf:
                share = science[y, x] / total
            other = of_template[y, x]
            combined[y, x] = other + share * (of_science[y, x] - other)
