"""The level of the noise in blank sky, in the cells of an image."""

from math import ceil

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.cell_medians import cell_medians
from streamdiff.model import UNUSABLE, Exposure, MaskPlane

_NOT_SKY = UNUSABLE | MaskPlane.DETECTED | MaskPlane.DETECTED_NEGATIVE
# So many pixels along each axis tell the level of a cell, and of an image.
_PER_CELL, _PER_IMAGE = 32, 512
# A cell with a smaller part of blank sky says nothing.
_LEAST_SKY = 0.05


def noise_levels(exposure: Exposure, cells: tuple[int, int]) -> NDArray[np.float64]:
    """Return the noise power at frequency 0 of blank sky; shape ``cells``.

    Parameters
    ----------
    exposure : Exposure
    cells : tuple of int
        Number of cells along y and x.

    Returns
    -------
    ndarray of float64, shape (cy, cx)
        Median of variance times covariance factor: that of the middle of a cell
        where the noise has a slope. A cell without blank sky has the level of the
        image; an image without any, that of all its pixels, or 0 where none has a
        variance.
    """
    steps = [
        ceil(n / max(c * _PER_CELL, _PER_IMAGE))
        for n, c in zip(exposure.shape, cells, strict=True)
    ]
    sparse = np.s_[:: steps[0], :: steps[1]]
    power = exposure.variance[sparse].astype(float)
    factor = np.asarray(exposure.covariance_factor)
    power *= factor[sparse] if factor.ndim else factor
    power[~(np.isfinite(power) & (power > 0))] = np.nan
    sky = np.where(_NOT_SKY.in_mask(exposure.mask[sparse]), np.nan, power)

    anywhere = (cell_medians(p, (1, 1), least=0.0).item() for p in (sky, power))
    overall = next((level for level in anywhere if not np.isnan(level)), 0.0)
    levels = cell_medians(sky, cells, least=_LEAST_SKY)
    return np.where(np.isnan(levels), overall, levels)
