"""HEALPix pixels as an index of positions: what is near lies in few of them."""

import numpy as np
from astropy import units as u
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_scales
from astropy_healpix import HEALPix
from numpy.typing import ArrayLike, NDArray

Ints = NDArray[np.int64]

# Pixels of 52 arcsec: a detector of 10 arcmin lies in 200.
ORDER = 12
# No position is farther from its pixel than this, for `with_neighbours` to reach it:
# the narrowest pixels, at the poles, are half as wide as the mean one [arcsec].
MAX_RADIUS_ARCSEC = 20.0
# Of the finest pixels: they tell 0.4 mas apart, and fit into 62 bits.
_FINEST = 29
_SAMPLING_ARCSEC = 20.0
_NO_PIXEL = -1


def sky_pixels(ra: ArrayLike, dec: ArrayLike, *, order: int = ORDER) -> Ints:
    """Return the pixel of each position [deg], NESTED; shape (n,)."""
    found = _grid(order).lonlat_to_healpix(
        np.asarray(ra, float) % 360 * u.deg, np.asarray(dec, float) * u.deg
    )
    return np.asarray(found, np.int64)


def finest_pixels(ra: ArrayLike, dec: ArrayLike) -> Ints:
    """Return numbers in [0, 2^62) that tell positions 0.4 mas apart."""
    return sky_pixels(ra, dec, order=_FINEST)


def with_neighbours(pixels: Ints) -> Ints:
    """Return pixels and those that touch them, each once, in order."""
    unique = np.unique(pixels)
    around = np.asarray(_grid(ORDER).neighbours(unique)).ravel()
    around = around[around != _NO_PIXEL]
    return np.unique(np.concatenate([unique, around]).astype(np.int64))


def pixels_of_image(wcs: WCS, shape: tuple[int, int]) -> Ints:
    """Return the pixels that an image touches; `with_neighbours` leaves out none."""
    scales = proj_plane_pixel_scales(wcs.celestial) * 3600
    axes = [
        np.linspace(-0.5, n - 0.5, 2 + int(n * scale / _SAMPLING_ARCSEC))
        for n, scale in zip(reversed(shape), scales, strict=True)
    ]
    x, y = (grid.ravel() for grid in np.meshgrid(*axes))
    sky = wcs.pixel_to_world(x, y).icrs
    known = np.isfinite(sky.ra.deg) & np.isfinite(sky.dec.deg)
    return np.unique(sky_pixels(sky.ra.deg[known], sky.dec.deg[known]))


def coarser(pixels: Ints, order: int) -> Ints:
    """Return the pixels of a lower order that hold some pixels, each once."""
    return np.unique(pixels >> 2 * (ORDER - order))


def _grid(order: int) -> HEALPix:
    return HEALPix(nside=1 << order, order="nested")
