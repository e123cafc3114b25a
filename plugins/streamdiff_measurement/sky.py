"""Positions and directions on the sky, from those on the image."""

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

# Half a pixel each way: the WCS is as linear over it as over the errors.
_STEP = 0.5


def sky_positions(
    wcs: WCS, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return right ascensions and declinations [deg], NaN where x or y is."""
    if not np.size(x):
        return np.zeros(0), np.zeros(0)
    known = np.isfinite(x) & np.isfinite(y)
    ra, dec = wcs.all_pix2world(np.where(known, x, 0), np.where(known, y, 0), 0)
    return np.where(known, ra, np.nan), np.where(known, dec, np.nan)


def tangent_jacobian(
    wcs: WCS, x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return derivatives of local (east, north) by (x, y); shape (n, 2, 2).

    The unit is deg / pixel. East is right ascension times the cosine of the
    declination. All of it holds across the meridian of 0 h and at the poles.
    """
    east, north = _tangents(*sky_positions(wcs, x, y))
    columns = []
    for dx, dy in ((_STEP, 0), (0, _STEP)):
        after = _directions(*sky_positions(wcs, x + dx, y + dy))
        before = _directions(*sky_positions(wcs, x - dx, y - dy))
        moved = np.degrees(after - before) / (2 * _STEP)
        columns.append([(moved * east).sum(axis=0), (moved * north).sum(axis=0)])
    return np.moveaxis(np.array(columns), (0, 1, 2), (2, 1, 0))


def offsets_on_sky(
    jacobian: NDArray[np.float64], dx: NDArray[np.float64], dy: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return lengths [arcsec] and bearings, from north through east [deg].

    Parameters
    ----------
    jacobian : ndarray of float64, shape (n, 2, 2)
        As `tangent_jacobian` returns it.
    dx, dy : ndarray of float64, shape (n,)
        Offsets on the image [pixel].
    """
    east, north = np.einsum("nij,nj->in", jacobian, np.stack([dx, dy], axis=1))
    return 3600 * np.hypot(east, north), np.degrees(np.arctan2(east, north)) % 360


def errors_on_sky(
    jacobian: NDArray[np.float64],
    dx: NDArray[np.float64],
    dy: NDArray[np.float64],
    covariance: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the errors of `offsets_on_sky` [arcsec], [deg].

    Parameters
    ----------
    jacobian, dx, dy
        As for `offsets_on_sky`.
    covariance : ndarray of float64, shape (n, 2, 2)
        Of dx and dy [pixel**2].
    """
    offset = np.einsum("nij,nj->ni", jacobian, np.stack([dx, dy], axis=1))
    length = np.linalg.norm(offset, axis=1, keepdims=True)
    along = np.divide(offset, length, out=np.zeros_like(offset), where=length > 0)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    on_sky = jacobian @ covariance @ jacobian.swapaxes(1, 2)
    of_length, of_width = (
        np.sqrt(np.einsum("ni,nij,nj->n", u, on_sky, u)) for u in (along, across)
    )
    angle = np.divide(
        of_width, length[:, 0], out=np.full(len(length), np.nan), where=length[:, 0] > 0
    )
    return 3600 * of_length, np.degrees(angle)


def _directions(
    ra: NDArray[np.float64], dec: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return unit vectors, shape (3, n)."""
    ra, dec = np.radians(ra), np.radians(dec)
    return np.array([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])


def _tangents(
    ra: NDArray[np.float64], dec: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the unit vectors to the east and to the north, shape (3, n) each."""
    ra, dec = np.radians(ra), np.radians(dec)
    east = np.array([-np.sin(ra), np.cos(ra), np.zeros_like(ra)])
    north = np.array(
        [-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)]
    )
    return east, north
