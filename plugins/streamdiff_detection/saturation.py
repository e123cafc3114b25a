"""The wings of saturated stars, which no subtraction removes."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from streamdiff.imaging.islands import Islands
from streamdiff.imaging.places import places_in
from streamdiff.model import MaskPlane

_SATURATED = MaskPlane.SAT | MaskPlane.SAT_TEMPLATE
# Radii are rounded up to powers of this: one search for each.
_RADIUS_STEP = 2**0.25


def in_wings(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    mask: NDArray[np.int32],
    *,
    least: float,
    growth: float,
) -> NDArray[np.bool_]:
    """Return whether positions are in the wings of saturated stars.

    Parameters
    ----------
    x, y : ndarray of float64, shape (n,)
        Positions [pixel].
    mask : ndarray of int32, shape (ny, nx)
        SAT and SAT_TEMPLATE count.
    least : float
        Least extent of wings beyond the saturated pixels [pixel].
    growth : float
        Extent of wings over the square root of the number of saturated pixels
        that are connected.
    """
    inside = np.zeros(x.shape, bool)
    if not len(x):
        return inside
    blobs = Islands.of(places_in(mask, _SATURATED))
    radius = np.maximum(growth * np.sqrt(blobs.sizes), max(least, 1.0))
    step = np.ceil(np.log(radius) / np.log(_RADIUS_STEP))[blobs.number]
    for size in np.unique(step):
        own = step == size
        pixels = np.stack([blobs.row[own], blobs.column[own]], axis=1)
        distance, _ = cKDTree(pixels).query(
            np.stack([y, x], axis=1), distance_upper_bound=_RADIUS_STEP**size
        )
        inside |= np.isfinite(distance)
    return inside
