"""What is done to a finished coadd: holes interpolated, bright objects marked."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from astropy.wcs.utils import proj_plane_pixel_scales
from numpy.typing import NDArray
from scipy import ndimage

from streamdiff.imaging.interpolate import fill_unusable
from streamdiff.model import Exposure, MaskPlane

# Right ascension, declination [degree], radius [arcsec].
Circle = tuple[float, float, float]
_ARCSEC = 3600
_EIGHT_NEIGHBOURS = np.ones((3, 3), int)


def interpolate_holes(exposure: Exposure, max_width: int) -> Exposure:
    """Return an exposure whose small holes are interpolated.

    Image, variance and covariance factor are interpolated from the pixels around.
    These pixels lose NO_DATA and are INTRP and INEXACT_PSF.

    Parameters
    ----------
    exposure : Exposure
    max_width : int
        Larger extent along x and y of the largest hole [pixel]. Holes that touch
        the border of the image are left alone.
    """
    empty = MaskPlane.NO_DATA.in_mask(exposure.mask)
    small = _small_holes(empty, max_width)
    if not small.any():
        return exposure

    def filled(plane: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.where(small, fill_unusable(plane, empty), plane)

    flags = np.int32(MaskPlane.INTRP | MaskPlane.INEXACT_PSF)
    mask = np.where(small, exposure.mask & ~np.int32(MaskPlane.NO_DATA) | flags, 0)
    factor = exposure.covariance_factor
    return replace(
        exposure,
        image=filled(exposure.image),
        variance=filled(exposure.variance),
        mask=np.where(small, mask, exposure.mask),
        covariance_factor=filled(factor) if isinstance(factor, np.ndarray) else factor,
    )


def mask_circles(exposure: Exposure, circles: Iterable[Circle]) -> Exposure:
    """Return an exposure with circles on the sky marked BRIGHT_OBJECT."""
    mask = exposure.mask.copy()
    celestial = exposure.wcs.celestial
    scale = float(np.mean(proj_plane_pixel_scales(celestial))) * _ARCSEC
    for ra, dec, radius_arcsec in circles:
        x, y = (float(v) for v in celestial.world_to_pixel_values(ra, dec))
        radius = radius_arcsec / scale
        if not np.isfinite([x, y]).all():
            continue  # on the other side of the sky
        rows, columns = (
            slice(max(int(v - radius), 0), max(int(v + radius) + 2, 0)) for v in (y, x)
        )
        box = mask[rows, columns]
        dy, dx = np.ogrid[: box.shape[0], : box.shape[1]]
        inside = np.hypot(dx + columns.start - x, dy + rows.start - y) <= radius
        box[inside] |= MaskPlane.BRIGHT_OBJECT
    return replace(exposure, mask=mask)


def _small_holes(empty: NDArray[np.bool_], max_width: int) -> NDArray[np.bool_]:
    """Return the parts of a set that are small and do not touch the border."""
    small = np.zeros(empty.shape, bool)
    if not max_width or not empty.any():
        return small
    labels, _ = ndimage.label(empty, _EIGHT_NEIGHBOURS)
    for number, box in enumerate(ndimage.find_objects(labels), 1):
        inside = all(
            s.start > 0 and s.stop < n for s, n in zip(box, empty.shape, strict=True)
        )
        if inside and max(s.stop - s.start for s in box) <= max_width:
            small[box] |= labels[box] == number
    return small
