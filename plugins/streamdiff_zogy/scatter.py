"""What many stars say together, in spite of those that vary or move."""

import numpy as np
from numpy.typing import NDArray

# The median of the size of a Gaussian deviation [sigma].
_MEDIAN_DEVIATION = 0.6744897501960817
_OUTLIER = 4.0
_PASSES, _BISECTIONS = 5, 40


def intrinsic_scatter(
    deviation: NDArray[np.float64], error: NDArray[np.float64]
) -> float:
    """Return how much values scatter around 0 beyond their errors.

    The median of the deviations, each in units of its error and this scatter
    together, is that of a Gaussian; 0 if the errors alone explain more, or there
    are no values.
    """
    if not deviation.size:
        return 0.0
    size = np.abs(deviation)

    def excess(scatter: float) -> float:
        pull = np.median(size / np.hypot(error, scatter))
        return float(pull) - _MEDIAN_DEVIATION

    low, high = 0.0, float(np.max(size)) / _MEDIAN_DEVIATION
    if excess(low) <= 0:
        return 0.0
    for _ in range(_BISECTIONS):
        mid = (low + high) / 2
        low, high = (mid, high) if excess(mid) > 0 else (low, mid)
    return low


def robust_mean(
    values: NDArray[np.float64], error: NDArray[np.float64]
) -> tuple[float, float, float]:
    """Return the weighted mean of values, its error, and their own scatter.

    Values farther than 4 of their errors, with the scatter, do not count.
    """
    mean = float(np.median(values))
    for _ in range(_PASSES):
        scatter = intrinsic_scatter(values - mean, error)
        total = np.hypot(error, scatter)
        weight = (np.abs(values - mean) <= _OUTLIER * total) / total**2
        mean = float(np.average(values, weights=weight))
    return mean, float(1 / np.sqrt(weight.sum())), scatter
