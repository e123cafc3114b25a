"""Where objects of the solar system are: tables of positions over time."""

from dataclasses import dataclass

import numpy as np

from streamdiff.model.dia_objects import DiaObjects
from streamdiff.model.rows import Floats, Ints, Rows

# Positions beside a time that are interpolated between: a cubic.
_POINTS = 4
_ARCSEC = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ephemerides(Rows):
    """Positions of objects of the solar system, ordered by object, then time.

    Attributes
    ----------
    ss_object_id : ndarray of int64
        Positive.
    mjd_tai : ndarray of float64
    ra, dec : ndarray of float64
        As seen from the telescope, ICRS [deg].
    error : ndarray of float64
        Standard error in each direction [arcsec].
    """

    ss_object_id: Ints
    mjd_tai: Floats
    ra: Floats
    dec: Floats
    error: Floats

    def at(self, mjd_tai: float) -> DiaObjects:
        """Return where objects are at a time; none whose table does not reach it.

        Directions are interpolated by a cubic through the nearest times, two on each
        side where there are; the error is that of the nearest one. ``dia_object_id``
        is the id of the object.
        """
        ids, start, n = np.unique(
            self.ss_object_id, return_index=True, return_counts=True
        )
        before = np.add.reduceat(self.mjd_tai <= mjd_tai, start) if len(ids) else n
        after = np.add.reduceat(self.mjd_tai >= mjd_tai, start) if len(ids) else n
        covered = (before > 0) & (after > 0)
        ids, start, n, before = (
            ids[covered],
            start[covered],
            n[covered],
            before[covered],
        )
        n_points = np.minimum(n, _POINTS)
        low = start + np.clip(before - 2, 0, n - n_points)
        rows = low[:, np.newaxis] + np.arange(_POINTS)
        used = np.arange(_POINTS) < n_points[:, np.newaxis]
        rows = np.where(used, rows, low[:, np.newaxis])
        weights = _lagrange(self.mjd_tai[rows] - mjd_tai, used)
        lon, lat = np.radians(self.ra[rows]), np.radians(self.dec[rows])
        x = np.sum(weights * np.cos(lat) * np.cos(lon), axis=1)
        y = np.sum(weights * np.cos(lat) * np.sin(lon), axis=1)
        z = np.sum(weights * np.sin(lat), axis=1)
        nearest = start + np.clip(before - 1, 0, None)
        weight = self.error[nearest] ** -2.0
        time = np.full(len(ids), mjd_tai)
        return DiaObjects(
            dia_object_id=ids,
            ra=np.degrees(np.arctan2(y, x)) % 360,
            dec=np.degrees(np.arctan2(z, np.hypot(x, y))),
            weight_ee=weight,
            weight_en=np.zeros(len(ids)),
            weight_nn=weight,
            n_sources=np.zeros(len(ids), np.int64),
            first_mjd=time,
            last_mjd=time,
        )


def _lagrange(
    times: Floats, used: "np.ndarray[tuple[int, int], np.dtype[np.bool_]]"
) -> Floats:
    """Return the weights of points for the value at time 0; shape (n, points)."""
    weights = np.where(used, 1.0, 0.0)
    for i in range(_POINTS):
        for j in range(_POINTS):
            if i != j:
                both = used[:, i] & used[:, j]
                step = np.where(both, times[:, j] - times[:, i], 1.0)
                weights[:, i] *= np.where(both, times[:, j] / step, 1.0)
    return weights
