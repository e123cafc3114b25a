"""The covariance factor of a difference, from those of the two exposures."""

import numpy as np
from numpy.typing import NDArray

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
    scale = np.float32(kernel_sum**2)
    # Where either variance says nothing, the factor is that of equal parts.
    parts = [science.variance, scale * template.variance]
    total = parts[0] + parts[1]
    known = np.isfinite(total) & (total > 0)
    share = np.where(known, parts[0], 0.5) / np.where(known, total, 1)
    combined: NDArray[np.float32] = np.asarray(
        share * factors[0] + (1 - share) * factors[1], np.float32
    )
    return combined
