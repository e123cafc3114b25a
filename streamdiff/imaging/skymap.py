"""The division of the sky into tracts and patches."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
from astropy import units as u
from astropy.wcs import WCS
from astropy_healpix import HEALPix
from numpy.typing import NDArray

# An image is sampled at least this densely to see what it touches; what lies
# between two samples is within the overlap of the patches beside it [pixel].
SAMPLING_PIXEL = 64
PADDING_PIXEL = 16
BOUNDARY_STEPS = 64


class Tessellation(Protocol):
    """Any division of the sky into tracts and patches."""

    def shape(self, tract: int, patch: int) -> tuple[int, int]:
        """Return the (height, width) of a patch."""
        ...

    def wcs(self, tract: int, patch: int) -> WCS:
        """Return the WCS of a patch."""
        ...

    def patches_touching(
        self, wcs: WCS, shape: tuple[int, int]
    ) -> Sequence[tuple[int, int]]:
        """Return (tract, patch) of what an image touches, sorted."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SkyMap:
    """HEALPix pixels as tracts, squares on their tangent planes as patches.

    A tract is a HEALPix pixel (NESTED order) projected onto the plane that touches
    the sphere at the pixel's centre, north up, east to the left. Its patches are a
    square grid, numbered row by row from 0 at the south-east; each overlaps its
    neighbours, and only those that touch the HEALPix pixel are in use.

    Attributes
    ----------
    nside_order : int
        2^order pixels along the side of a HEALPix base pixel, 0 to 10.
    patch_pixels : int
        Side of a patch, overlap included.
    pixel_scale_arcsec : float
    overlap_pixels : int
        By how much a patch reaches into each of its neighbours.

    Raises
    ------
    ValueError
        If a value is out of range.
    """

    nside_order: int = 5
    patch_pixels: int = 4096
    pixel_scale_arcsec: float = 0.2
    overlap_pixels: int = 100

    def __post_init__(self) -> None:
        if not 0 <= self.nside_order <= 10:
            raise ValueError(f"nside_order must be in [0, 10], got {self.nside_order}")
        if not self.pixel_scale_arcsec > 0:
            raise ValueError(
                f"pixel_scale_arcsec must be positive, got {self.pixel_scale_arcsec}"
            )
        if not 0 <= self.overlap_pixels < self.patch_pixels // 2:
            raise ValueError(
                f"overlap_pixels must be in [0, patch_pixels / 2), "
                f"got {self.overlap_pixels} of {self.patch_pixels}"
            )

    def shape(self, tract: int, patch: int) -> tuple[int, int]:  # noqa: ARG002
        """Return the (height, width) of a patch, the same for all."""
        return self.patch_pixels, self.patch_pixels

    @property
    def patches_per_side(self) -> int:
        """Return how many patches there are along the side of a tract's grid."""
        half = np.tan(_max_pixel_radius(2**self.nside_order)) / self._scale
        return 2 * int(np.ceil(half / self._inner))

    def wcs(self, tract: int, patch: int) -> WCS:
        """Return the WCS of a patch.

        Raises
        ------
        ValueError
            If there is no such tract or patch.
        """
        side = self.patches_per_side
        if not 0 <= patch < side**2:
            raise ValueError(f"patch must be in [0, {side**2}), got {patch}")
        row, column = divmod(patch, side)
        origin = np.array([column, row]) * self._inner - self._half
        wcs = self._plane(tract)
        wcs.wcs.crpix = 1 - (origin - self.overlap_pixels)
        wcs.wcs.set()
        return wcs

    def patches(self, tract: int) -> Sequence[int]:
        """Return the patches of a tract that touch its HEALPix pixel, sorted."""
        side = self.patches_per_side
        boundary = self._healpix.boundaries_lonlat([tract], BOUNDARY_STEPS)
        touched = set(self._cells(tract, *(v.to_value(u.deg)[0] for v in boundary)))
        row, column = np.divmod(np.arange(side**2), side)
        x, y = ((v + 0.5) * self._inner - self._half - 0.5 for v in (column, row))
        longitude, latitude = self._plane(tract).wcs_pix2world(x, y, 0)
        inside = np.flatnonzero(self._tracts(longitude, latitude) == tract)
        return sorted(touched | set(inside.tolist()))

    def patches_touching(
        self, wcs: WCS, shape: tuple[int, int]
    ) -> Sequence[tuple[int, int]]:
        """Return (tract, patch) of what an image touches, sorted.

        The overlaps do not count: every position on the sky belongs to one patch.
        """
        sky = sample_sky(wcs, shape)
        tracts = self._tracts(*sky)
        return sorted(
            (int(tract), patch)
            for tract in np.unique(tracts)
            for patch in self._cells(int(tract), *sky[:, tracts == tract])
        )

    @property
    def _healpix(self) -> HEALPix:
        return HEALPix(nside=2**self.nside_order, order="nested")

    @property
    def _scale(self) -> float:
        return float(np.radians(self.pixel_scale_arcsec / 3600))

    @property
    def _inner(self) -> int:
        return self.patch_pixels - 2 * self.overlap_pixels

    @property
    def _half(self) -> int:
        """Return the distance of the tract's centre from its first pixel."""
        return self.patches_per_side // 2 * self._inner

    def _tracts(
        self, longitude: NDArray[np.float64], latitude: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        tracts = self._healpix.lonlat_to_healpix(longitude * u.deg, latitude * u.deg)
        return np.asarray(tracts, np.int64)

    def _plane(self, tract: int) -> WCS:
        """Return the tangent plane, pixel (0, 0) on the tract's centre."""
        n_tracts = 12 * 4**self.nside_order
        if not 0 <= tract < n_tracts:
            raise ValueError(f"tract must be in [0, {n_tracts}), got {tract}")
        centre = self._healpix.healpix_to_lonlat([tract])
        wcs = WCS(naxis=2)
        wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
        wcs.wcs.crval = [v.to_value(u.deg)[0] for v in centre]
        wcs.wcs.cdelt = np.array([-1, 1]) * self.pixel_scale_arcsec / 3600
        wcs.wcs.crpix = [1, 1]
        wcs.wcs.radesys = "ICRS"
        wcs.wcs.set()
        return wcs

    def _cells(
        self,
        tract: int,
        longitude: NDArray[np.float64],
        latitude: NDArray[np.float64],
    ) -> list[int]:
        """Return the patches, without overlap, that hold positions on the sky."""
        x, y = self._plane(tract).wcs_world2pix(longitude, latitude, 0)
        side = self.patches_per_side
        column, row = (
            np.clip(np.floor((v + 0.5 + self._half) / self._inner), 0, side - 1)
            for v in (x, y)
        )
        return [int(patch) for patch in np.unique(row * side + column)]


def sample_sky(wcs: WCS, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Return positions on the sky all over an image, and a little beyond its border.

    Returns
    -------
    ndarray of float64, shape (2, n)
        Longitudes and latitudes [deg], where the WCS has any.
    """
    grid = np.meshgrid(*(_samples(n) for n in shape[::-1]))
    sky = np.array(wcs.all_pix2world(*(v.ravel() for v in grid), 0))
    return sky[:, np.isfinite(sky).all(axis=0)]


def _samples(pixels: int) -> NDArray[np.float64]:
    first, last = -0.5 - PADDING_PIXEL, pixels - 0.5 + PADDING_PIXEL
    return np.linspace(first, last, int(np.ceil((last - first) / SAMPLING_PIXEL)) + 2)


@cache
def _max_pixel_radius(nside: int) -> float:
    """Return the largest distance [radian] of a HEALPix pixel's corner and centre.

    It is that of the pixel whose northern corner, at the end of the polar cap,
    lies at z = 2/3, or one nearer to the pole (Gorski et al. 2005, ApJ 622, 759,
    for the positions).
    """
    pixels = HEALPix(nside=nside, order="ring")
    # One quarter of every ring of the northern cap and the first equatorial ring.
    rings = np.arange(1, nside + 1)
    index = np.concatenate([2 * i * (i - 1) + np.arange(i) for i in rings])
    corners = pixels.boundaries_lonlat(index, 1)
    centres = [v[:, np.newaxis] for v in pixels.healpix_to_lonlat(index)]
    cosine = np.sin(corners[1]) * np.sin(centres[1]) + np.cos(corners[1]) * np.cos(
        centres[1]
    ) * np.cos(corners[0] - centres[0])
    return float(np.arccos(cosine.value.min()))
