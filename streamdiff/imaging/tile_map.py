"""The user's own division of the sky: a list of tiles, each with a WCS."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from streamdiff.imaging.skymap import sample_sky

# Tiles farther away than they and the image reach are not looked at. The radius of
# what is distorted is longer than that of its corners by less than this factor.
_MARGIN = 1.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One tile.

    Attributes
    ----------
    wcs : astropy.wcs.WCS
    shape : tuple of int
        (height, width).
    """

    wcs: WCS
    shape: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class TileMap:
    """Tiles as patches; a `streamdiff.imaging.skymap.Tessellation`.

    Attributes
    ----------
    tiles : mapping of (int, int) to Tile
        By tract and patch.

    Raises
    ------
    ValueError
        If there is no tile.
    """

    tiles: Mapping[tuple[int, int], Tile]

    def __post_init__(self) -> None:
        if not self.tiles:
            raise ValueError("a map of the sky needs at least one tile")

    def shape(self, tract: int, patch: int) -> tuple[int, int]:
        """Return the (height, width) of a tile.

        Raises
        ------
        ValueError
            If there is no such tile.
        """
        return self._tile(tract, patch).shape

    def wcs(self, tract: int, patch: int) -> WCS:
        """Return the WCS of a tile.

        Raises
        ------
        ValueError
            If there is no such tile.
        """
        return self._tile(tract, patch).wcs

    def patches_touching(
        self, wcs: WCS, shape: tuple[int, int]
    ) -> Sequence[tuple[int, int]]:
        """Return (tract, patch) of the tiles that an image touches, sorted."""
        sky = sample_sky(wcs, shape)
        if not sky.size:
            return []
        centre, radius = _circle(sky)
        keys, centres, radii = self._circles
        distance = np.arccos(np.clip(centres @ centre, -1, 1))
        near = np.flatnonzero(distance <= _MARGIN * (radii + radius))
        touched = (keys[i] for i in near if _holds(self.tiles[keys[i]], sky))
        return sorted(touched)

    @cached_property
    def _circles(
        self,
    ) -> tuple[list[tuple[int, int]], NDArray[np.float64], NDArray[np.float64]]:
        """Return keys, centres (unit vectors) and radii [radian] of the tiles."""
        circles = [
            _circle(sample_sky(tile.wcs, tile.shape)) for tile in self.tiles.values()
        ]
        centres, radii = zip(*circles, strict=True)
        return list(self.tiles), np.array(centres), np.array(radii)

    def _tile(self, tract: int, patch: int) -> Tile:
        if (tract, patch) not in self.tiles:
            raise ValueError(f"there is no tile of tract {tract}, patch {patch}")
        return self.tiles[tract, patch]


def _circle(sky: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Return centre (unit vector) and radius [radian] of what holds positions."""
    longitude, latitude = np.radians(sky)
    vectors = np.array(
        [
            np.cos(latitude) * np.cos(longitude),
            np.cos(latitude) * np.sin(longitude),
            np.sin(latitude),
        ]
    )
    mean = vectors.mean(axis=1)
    centre = mean / np.linalg.norm(mean)
    return centre, float(np.arccos(np.clip(centre @ vectors, -1, 1)).max())


def _holds(tile: Tile, sky: NDArray[np.float64]) -> bool:
    """Return whether any position lies on a tile."""
    x, y = tile.wcs.wcs_world2pix(*sky, 0)
    height, width = tile.shape
    inside = np.abs(x - (width - 1) / 2) <= width / 2
    inside &= np.abs(y - (height - 1) / 2) <= height / 2
    return bool(inside.any())
