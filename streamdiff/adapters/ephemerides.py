"""Tables of objects of the solar system: CSV, ECSV, FITS or VOTable."""

from pathlib import Path

import numpy as np
from astropy.table import Table

from streamdiff.adapters.fits.extensions import quiet
from streamdiff.errors import ConfigError
from streamdiff.model.ephemerides import Ephemerides
from streamdiff.model.rows import Floats

# By column: names of the table, and what a table without it says.
_REQUIRED = ("ssObjectId", "mjd_tai", "ra", "dec")
_ERROR, _DEFAULT_ERROR_ARCSEC = "error_arcsec", 0.1


def read_ephemerides(path: Path) -> Ephemerides:
    """Return the positions that a table tells.

    Its columns are ``ssObjectId``, a positive integer; ``mjd_tai``; ``ra`` and
    ``dec``, ICRS as seen from the telescope [deg]; and, where there is one,
    ``error_arcsec``, otherwise 0.1. Rows may be in any order.

    Raises
    ------
    ConfigError
        If the table can not be read, lacks a column, or has a value that is none.
    """
    table = _table(path)
    lacking = [name for name in _REQUIRED if name not in table.colnames]
    if lacking:
        raise ConfigError(f"{path}: has no column {', '.join(lacking)}")
    try:
        ids = np.ma.filled(np.ma.asarray(table["ssObjectId"], np.int64), 0)
        times, ra, dec = (_numbers(table, name) for name in _REQUIRED[1:])
        error = np.full(len(table), _DEFAULT_ERROR_ARCSEC)
        if _ERROR in table.colnames:
            error = _numbers(table, _ERROR)
    except (TypeError, ValueError) as err:
        raise ConfigError(f"{path}: columns must hold numbers: {err}") from err
    order = np.lexsort((times, ids))
    found = Ephemerides(
        ss_object_id=ids, mjd_tai=times, ra=ra, dec=dec, error=error
    ).take(order)
    _require_sound(found, path)
    return found


def _table(path: Path) -> Table:
    try:
        with quiet():
            return Table.read(path, format=_format(path))
    except Exception as err:  # hostile bytes: astropy may raise anything
        first = str(err).strip().splitlines() or [type(err).__name__]
        raise ConfigError(f"{path}: no table of ephemerides: {first[0]}") from err


def _numbers(table: Table, name: str) -> Floats:
    """Return a column, NaN where a value is missing."""
    filled: Floats = np.ma.filled(np.ma.asarray(table[name], float), np.nan)
    return filled


def _format(path: Path) -> str | None:
    return "ascii.csv" if path.suffix == ".csv" else None


def _require_sound(found: Ephemerides, path: Path) -> None:
    columns: list[Floats] = [found.mjd_tai, found.ra, found.dec, found.error]
    if not all(np.isfinite(values).all() for values in columns):
        raise ConfigError(f"{path}: a value is missing or not finite")
    if (found.ss_object_id <= 0).any() or (found.error <= 0).any():
        raise ConfigError(f"{path}: ssObjectId and {_ERROR} must be positive")
    same = (np.diff(found.ss_object_id) == 0) & (np.diff(found.mjd_tai) == 0)
    if same.any():
        where = found.take(np.flatnonzero(same)[:1])
        raise ConfigError(
            f"{path}: ssObjectId {where.ss_object_id[0]} has two positions at "
            f"mjd_tai = {where.mjd_tai[0]}"
        )
