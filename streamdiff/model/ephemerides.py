"""Where objects of the solar system are: tables of positions over time."""

from dataclasses import dataclass

import numpy as np

from streamdiff.model.dia_objects import DiaObjects
from streamdiff.model.rows import Flags, Floats, Ints, Rows

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
        beside = self._beside(mjd_tai)
        x, y, z = self._summed(beside, _lagrange(beside.times, beside.used))
        weight = self.error[beside.nearest] ** -2.0
        n = len(beside.ids)
        return DiaObjects(
            dia_object_id=beside.ids,
            ra=np.degrees(np.arctan2(y, x)) % 360,
            dec=np.degrees(np.arctan2(z, np.hypot(x, y))),
            weight_ee=weight,
            weight_en=np.zeros(n),
            weight_nn=weight,
            n_sources=np.zeros(n, np.int64),
            first_mjd=np.full(n, mjd_tai),
            last_mjd=np.full(n, mjd_tai),
        )

    def rates(self, mjd_tai: float) -> tuple[Floats, Floats]:
        """Return how the objects that `at` tells of move: east and north [deg / d]."""
        beside = self._beside(mjd_tai)
        x, y, z = self._summed(beside, _lagrange(beside.times, beside.used))
        vx, vy, vz = self._summed(beside, _slopes(beside.times, beside.used))
        across = np.hypot(x, y)
        size = np.hypot(across, z)
        east = (x * vy - y * vx) / (across * size)
        north = (across * vz - z * (x * vx + y * vy) / across) / size**2
        return np.degrees(east), np.degrees(north)

    def _beside(self, mjd_tai: float) -> "_Beside":
        """Return the rows that are interpolated between."""
        ids, start, n = np.unique(
            self.ss_object_id, return_index=True, return_counts=True
        )
        before = np.add.reduceat(self.mjd_tai <= mjd_tai, start) if len(ids) else n
        after = np.add.reduceat(self.mjd_tai >= mjd_tai, start) if len(ids) else n
        covered = (before > 0) & (after > 0)
        start, n, before = start[covered], n[covered], before[covered]
        n_points = np.minimum(n, _POINTS)
        low = start + np.clip(before - 2, 0, n - n_points)
        rows = low[:, np.newaxis] + np.arange(_POINTS)
        used = np.arange(_POINTS) < n_points[:, np.newaxis]
        rows = np.where(used, rows, low[:, np.newaxis])
        return _Beside(
            ids=ids[covered],
            rows=rows,
            used=used,
            times=self.mjd_tai[rows] - mjd_tai,
            nearest=start + np.clip(before - 1, 0, None),
        )

    def _summed(self, beside: "_Beside", weights: Floats) -> tuple[Floats, ...]:
        """Return sums of directions, each times its weight."""
        lon, lat = np.radians(self.ra[beside.rows]), np.radians(self.dec[beside.rows])
        units = np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)
        return tuple(np.sum(weights * unit, axis=1) for unit in units)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Beside:
    """The rows beside a time; `_POINTS` of each object, of which some are used.

    Attributes
    ----------
    ids : ndarray of int64, shape (n,)
    rows : ndarray of int64, shape (n, points)
    used : ndarray of bool, shape (n, points)
    times : ndarray of float64, shape (n, points)
        After the time [d].
    nearest : ndarray of int64, shape (n,)
        The last row that is not after it.
    """

    ids: Ints
    rows: Ints
    used: Flags
    times: Floats
    nearest: Ints


def _lagrange(times: Floats, used: Flags) -> Floats:
    """Return the weights of points for the value at time 0; shape (n, points)."""
    weights = np.where(used, 1.0, 0.0)
    for i in range(_POINTS):
        for j in range(_POINTS):
            if i != j:
                both = used[:, i] & used[:, j]
                step = np.where(both, times[:, j] - times[:, i], 1.0)
                weights[:, i] *= np.where(both, times[:, j] / step, 1.0)
    return weights


def _slopes(times: Floats, used: Flags) -> Floats:
    """Return the weights of points for the slope at time 0; shape (n, points)."""
    slopes = np.zeros_like(times)
    for m in range(_POINTS):
        others = used.copy()
        others[:, m] = False
        # The product without m, of which m itself has no part.
        weights = _lagrange(times, others)
        for i in range(_POINTS):
            if i != m:
                both = used[:, i] & used[:, m]
                step = np.where(both, times[:, i] - times[:, m], 1.0)
                slopes[:, i] += np.where(both, weights[:, i] / step, 0.0)
    return slopes
