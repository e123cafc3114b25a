"""The user's own tiles: one FITS header each."""

from collections.abc import Iterator

import fsspec
from astropy.io import fits
from astropy.wcs import WCS

from streamdiff.adapters.fits.extensions import quiet
from streamdiff.errors import ConfigError
from streamdiff.imaging.tile_map import Tile, TileMap

# Where the size of a tile stands: in images, and in headers alone.
_SIDES = (("NAXIS2", "NAXIS1"), ("IMAGEH", "IMAGEW"))


def read_tiles(uri: str) -> TileMap:
    """Return the tiles of a FITS file, one per HDU with a celestial WCS.

    The size of a tile is that of the HDU's image or, in a header alone, IMAGEW and
    IMAGEH. TRACT and PATCH are its numbers; by default the tract is 0, and patches
    count from 0.

    Parameters
    ----------
    uri : str
        URI or path.

    Raises
    ------
    ConfigError
        If the file can not be read, holds no tile, or one twice.
    """
    tiles: dict[tuple[int, int], Tile] = {}
    try:
        for header, wcs in _celestial_headers(uri):
            key = int(header.get("TRACT", 0)), int(header.get("PATCH", len(tiles)))
            if key in tiles:
                raise ConfigError(
                    f"{uri}: tract {key[0]}, patch {key[1]} is there twice"
                )
            tiles[key] = Tile(wcs=wcs, shape=_shape(header))
        return TileMap(tiles=tiles)
    except (OSError, KeyError, ValueError) as err:
        raise ConfigError(f"[store.skymap] tiles: {uri}: {err}") from err


def _celestial_headers(uri: str) -> Iterator[tuple[fits.Header, WCS]]:
    with quiet(), fsspec.open(uri, "rb") as file, fits.open(file) as hdus:
        for hdu in hdus:
            wcs = WCS(hdu.header)
            if wcs.has_celestial:
                yield hdu.header, wcs.celestial


def _shape(header: fits.Header) -> tuple[int, int]:
    for names in _SIDES:
        height, width = (int(header.get(name, 0)) for name in names)
        if height > 0 and width > 0:
            return height, width
    raise ValueError("a tile has neither an image nor IMAGEW and IMAGEH")
