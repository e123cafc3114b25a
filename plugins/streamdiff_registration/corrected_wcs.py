"""A WCS whose pixels are displaced."""

import numpy as np
from astropy.wcs import WCS, DistortionLookupTable
from numpy.typing import NDArray

from streamdiff_registration.displacement import DisplacementField

# Intervals of the table along each axis: between its nodes, a term of order 6 and
# amplitude 0.5 px is linear to h**2 / 8 * 420 * 0.5 = 1.6e-3 px, h = 2 / 256.
_INTERVALS = 256


def corrected_wcs(
    wcs: WCS, field: DisplacementField, image_shape: tuple[int, int]
) -> WCS:
    """Return a WCS W' with W'(p) = W(p + d(p)), the given one unchanged.

    Parameters
    ----------
    wcs : astropy.wcs.WCS
        W, with whatever distortions.
    field : DisplacementField
        d.
    image_shape : tuple of int
        (height, width) of the image on which W' holds; beyond it d is constant.

    Notes
    -----
    d is tabulated as a detector-to-image distortion, the one that is applied
    before all others: a ``cpdis`` table is added to SIP, not put before it. One
    that W has already is taken into the new table.
    """
    height, width = image_shape
    steps = [_step(wcs, side) for side in (width, height)]
    nodes = (
        np.arange(np.ceil((side - 1) / step) + 1) * step
        for side, step in zip((width, height), steps, strict=True)
    )
    x, y = np.meshgrid(*nodes)
    along_x, along_y = field.at(x, y)
    image_x, image_y = wcs.det2im((x + along_x).ravel(), (y + along_y).ravel(), 0)
    corrected = wcs.deepcopy()
    corrected.det2im1 = _table(image_x.reshape(x.shape) - x, steps)
    corrected.det2im2 = _table(image_y.reshape(y.shape) - y, steps)
    return corrected


def _step(wcs: WCS, side: int) -> float:
    """Return the distance between nodes, as fine as that of an existing table."""
    existing = [
        float(min(t.cdelt)) for t in (wcs.det2im1, wcs.det2im2) if t is not None
    ]
    return min([max(side - 1, 1) / _INTERVALS, *existing])


def _table(values: NDArray[np.float64], steps: list[float]) -> DistortionLookupTable:
    # The first node is on the first pixel, which is number 1 in FITS.
    return DistortionLookupTable(
        np.asarray(values, np.float32), (1, 1), (1, 1), tuple(steps)
    )
