"""Tables of stars, FITS or ECSV, become stars on an image."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from astropy import units
from astropy.io import ascii  # noqa: A004 (the module is called so)
from astropy.table import Table
from astropy.wcs import WCS
from numpy.typing import NDArray

from streamdiff.adapters.fits.extensions import quiet, read_extensions
from streamdiff.adapters.fits.structure import inflate
from streamdiff.errors import InvalidExposureError, UnreadableImageError
from streamdiff.imaging.stars import snr_at
from streamdiff.model import Exposure, StarList

_ECSV = b"# %ECSV"
_TABLES = {"BINTABLE", "TABLE"}
_PIXELS, _SKY, _FLUX = ("x", "y"), ("ra", "dec"), "flux"

_Columns = Mapping[str, NDArray[np.float64]]


def read_stars(content: bytes, uri: str, exposure: Exposure) -> StarList | None:
    """Return the stars of a table that lie on an exposure, the brightest first.

    Parameters
    ----------
    content : bytes
        A FITS file, whose first table counts, or an ECSV file; either may be
        gzipped. Columns are ``x`` and ``y``, 0 in the centre of the first pixel,
        or ``ra`` and ``dec``, ICRS [degree, if the column has no unit], and
        ``flux``, in any unit; in upper or lower case. ``x`` and ``y`` win.
    uri : str
        How errors are to name the file.
    exposure : Exposure
        Its image tells the signal-to-noise ratios.

    Returns
    -------
    StarList or None
        `None` if no star is on the image. Rows without a position, or without a
        positive flux, are passed over.

    Raises
    ------
    UnreadableImageError, TooLargeError
        If the file is neither a complete FITS file nor ECSV.
    InvalidExposureError
        If it holds no table, or lacks a column.
    """
    columns = _columns(_table(content, uri), uri)
    x, y = _positions(columns, exposure.wcs)
    flux = columns[_FLUX]
    height, width = exposure.shape
    with np.errstate(invalid="ignore"):
        column, row = np.floor(x + 0.5), np.floor(y + 0.5)
        good = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        good &= np.isfinite(flux) & (flux > 0)
    rows = np.flatnonzero(good)
    if not rows.size:
        return None
    rows = rows[np.lexsort((x[rows], y[rows], -flux[rows]))]
    x, y = x[rows], y[rows]
    return StarList(x=x, y=y, flux=flux[rows], snr=snr_at(exposure, x, y))


def _table(content: bytes, uri: str) -> Table:
    content = inflate(content, uri)
    if content.startswith(_ECSV):
        try:
            with quiet():
                return ascii.read(content.decode(), format="ecsv", guess=False)
        except Exception as err:
            raise UnreadableImageError(f"{uri}: not a readable ECSV: {err}") from err
    extensions = read_extensions(content, uri).all
    tables = [e for e in extensions if e.value("XTENSION") in _TABLES]
    if not tables:
        raise InvalidExposureError(f"{uri}: holds no table of stars")
    try:
        with quiet():
            return Table.read(tables[0].hdu)
    except Exception as err:
        raise UnreadableImageError(
            f"{uri}, {tables[0].name}: the table can not be decoded: {err}"
        ) from err


def _columns(table: Table, uri: str) -> _Columns:
    """Return flux, and the position in pixels or on the sky [degree]."""
    named = {str(name).lower(): name for name in reversed(table.colnames)}
    position = next((p for p in (_PIXELS, _SKY) if named.keys() >= set(p)), None)
    if position is None or _FLUX not in named:
        raise InvalidExposureError(
            f"{uri}: a table of stars needs the columns x and y, or ra and dec, and "
            f"flux; it has {', '.join(map(str, table.colnames)) or 'none'}"
        )
    return {name: _values(table[named[name]], uri) for name in (*position, _FLUX)}


def _values(column: Any, uri: str) -> NDArray[np.float64]:  # noqa: ANN401
    """Return a column, NaN where a value is missing, angles in degrees."""
    filled: NDArray[np.float64]
    try:
        filled = np.ma.filled(np.ma.asarray(column, float), np.nan)
    except (TypeError, ValueError) as err:
        raise InvalidExposureError(
            f"{uri}, column {column.name}: must hold numbers: {err}"
        ) from err
    if filled.ndim != 1:
        raise InvalidExposureError(
            f"{uri}, column {column.name}: must hold one number per row"
        )
    unit = column.unit
    if unit is not None and unit.is_equivalent(units.deg):
        filled = filled * unit.to(units.deg)
    return filled


def _positions(
    columns: _Columns, wcs: WCS
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if "x" in columns:
        return columns["x"], columns["y"]
    ra, dec = columns["ra"], columns["dec"]
    x, y = np.full((2, ra.size), np.nan)
    known = np.isfinite(ra) & np.isfinite(dec) & (np.abs(dec) <= 90)
    if known.any():
        with quiet():
            x[known], y[known] = wcs.all_world2pix(ra[known], dec[known], 0, quiet=True)
    return x, y
