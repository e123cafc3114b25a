"""The variance that white noise has after a filter."""

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.propagate import propagate_variance
from streamdiff_decorrelation.whitening import NodeFilters


class VariancePlane(StrEnum):
    """How the variance of a difference is made.

    ``propagated``: from the variances of the exposures, with the squares of the
    filters that they went through. ``scaled``: from the same planes as they are,
    times the mean of the filters' power.
    """

    PROPAGATED = "propagated"
    SCALED = "scaled"


def propagate(
    variance: NDArray[np.float32], filters: NodeFilters, method: VariancePlane
) -> NDArray[np.float32]:
    """Return the variance of an image after it was filtered; shape (ny, nx).

    Parameters
    ----------
    variance : ndarray of float32, shape (ny, nx)
        Of white noise before; finite everywhere.
    filters : NodeFilters
    method : VariancePlane
    """
    if method is VariancePlane.PROPAGATED:
        return propagate_variance(variance, filters.stamps, filters.nodes)
    scaled = variance.copy()
    filters.nodes.multiply(scaled, filters.power)
    return scaled
