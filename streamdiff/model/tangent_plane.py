"""Small offsets on the sky: on the planes that touch it at given positions."""

import numpy as np

from streamdiff.model.rows import Floats

_ARCSEC = 3600.0
# The upper triangles of symmetric matrices: east-east, east-north, north-north.
Symmetric = tuple[Floats, Floats, Floats]


def offsets_arcsec(
    ra: Floats, dec: Floats, to_ra: Floats, to_dec: Floats
) -> tuple[Floats, Floats]:
    """Return how far positions lie east and north of others on their tangent planes.

    NaN for those on the other half of the sky.
    """
    lon, lat, lat0 = np.radians(to_ra - ra), np.radians(to_dec), np.radians(dec)
    height = np.sin(lat0) * np.sin(lat) + np.cos(lat0) * np.cos(lat) * np.cos(lon)
    height = np.where(height > 0, height, np.nan)
    east = np.cos(lat) * np.sin(lon) / height
    # cos(lat0) sin(lat) - sin(lat0) cos(lat) cos(lon), without its loss of digits
    north = (
        np.sin(lat - lat0) + 2 * np.sin(lat0) * np.cos(lat) * np.sin(lon / 2) ** 2
    ) / height
    return np.degrees(east) * _ARCSEC, np.degrees(north) * _ARCSEC


def moved(
    ra: Floats, dec: Floats, east: Floats, north: Floats
) -> tuple[Floats, Floats]:
    """Return positions [deg] moved on their tangent planes [arcsec]."""
    x, y = np.radians(east / _ARCSEC), np.radians(north / _ARCSEC)
    lat0 = np.radians(dec)
    across = np.cos(lat0) - y * np.sin(lat0)
    lon = np.arctan2(x, across)
    lat = np.arctan2(np.sin(lat0) + y * np.cos(lat0), np.hypot(x, across))
    return (ra + np.degrees(lon)) % 360, np.degrees(lat)


def inverse(matrix: Symmetric) -> Symmetric:
    """Return the inverses of symmetric 2 x 2 matrices."""
    ee, en, nn = matrix
    determinant = ee * nn - en**2
    return nn / determinant, -en / determinant, ee / determinant


def product(matrix: Symmetric, east: Floats, north: Floats) -> tuple[Floats, Floats]:
    """Return the products of symmetric 2 x 2 matrices and vectors."""
    ee, en, nn = matrix
    return ee * east + en * north, en * east + nn * north
