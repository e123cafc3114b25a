"""Pairs of positions on the sky that are near each other."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]


def neighbours(
    ra: Floats, dec: Floats, to_ra: Floats, to_dec: Floats, *, radius_arcsec: float
) -> tuple[Rows, Rows]:
    """Return the rows of all pairs within a radius, ordered by the first, the second.

    Parameters
    ----------
    ra, dec, to_ra, to_dec : ndarray of float64
        Two lists of positions [deg].
    radius_arcsec : float
    """
    chord = 2 * np.sin(np.radians(radius_arcsec / 3600) / 2)
    here, there = cKDTree(_directions(ra, dec)), cKDTree(_directions(to_ra, to_dec))
    near = here.sparse_distance_matrix(there, chord, output_type="ndarray")
    order = np.lexsort((near["j"], near["i"]))
    return near["i"][order], near["j"][order]


def _directions(ra: Floats, dec: Floats) -> Floats:
    """Return unit vectors; shape (n, 3)."""
    lon, lat = np.radians(ra), np.radians(dec)
    return np.stack(
        [np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1
    )
