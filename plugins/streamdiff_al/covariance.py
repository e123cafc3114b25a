"""The covariance factor of a difference, from those of the two exposures."""

from typing import Any

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
    rows = [_as_rows(factor, science.shape[1]) for factor in factors]
    scale = np.float32(kernel_sum**2)
    _fill(science.variance, template.variance, scale, rows[0], rows[1], combined)
    return combined


def _as_rows(factor: NDArray[Any], width: int) -> NDArray[np.float32]:
    """Return a plane, or for a number the one row that all rows are."""
    rows = np.full((1, width), factor) if factor.ndim == 0 else factor
    return np.asarray(rows, np.float32)


@compiled
def _fill(
    science: NDArray[np.float32],
    template: NDArray[np.float32],
    scale: np.float32,
    of_science: NDArray[np.float32],
    of_template: NDArray[np.float32],
    combined: NDArray[np.float32],
) -> None:
    half = np.float32(0.5)
    for y in range(combined.shape[0]):
        ours = of_science[y % len(of_science)]
        others = of_template[y % len(of_template)]
        for x in range(combined.shape[1]):
            total = science[y, x] + scale * template[y, x]
            # Where either variance says nothing, the parts are equal.
            known = (total > 0) & (total < np.inf)
            share = science[y, x] / total if known else half
            combined[y, x] = others[x] + share * (ours[x] - others[x])
