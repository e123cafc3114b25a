"""DiaObjects: where they are, and how many DiaSources say so."""

from dataclasses import dataclass, replace
from typing import Self, TypeVar

import numpy as np

from streamdiff.model.catalogue_rows import SourceRows
from streamdiff.model.rows import Floats, Ints, Rows, turns
from streamdiff.model.tangent_plane import (
    Symmetric,
    inverse,
    moved,
    offsets_arcsec,
    product,
)

# What positions are wrong by even of bright sources, and what they are taken to be
# wrong by where nothing else is known: the values of LSST's association.
FLOOR_ARCSEC = 0.05
UNKNOWN_ARCSEC = 0.2
_ARCSEC = 3600.0


_Objects = TypeVar("_Objects", bound="DiaObjects")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DiaObjects(Rows):
    """Known DiaObjects, one per row.

    Attributes
    ----------
    dia_object_id : ndarray of int64
    ra, dec : ndarray of float64
        Mean position of the DiaSources, weighted by their errors [deg].
    weight_ee, weight_en, weight_nn : ndarray of float64
        Inverse of the covariance of this position, to the east and to the north on
        the tangent plane [arcsec**-2].
    n_sources : ndarray of int64
    first_mjd, last_mjd : ndarray of float64
        Times of the first and the last DiaSource.
    """

    dia_object_id: Ints
    ra: Floats
    dec: Floats
    weight_ee: Floats
    weight_en: Floats
    weight_nn: Floats
    n_sources: Ints
    first_mjd: Floats
    last_mjd: Floats

    @classmethod
    def of_sources(cls, rows: SourceRows) -> Self:
        """Return the DiaObjects that DiaSources belong to; all of them have one.

        Positions are added one after another in the order of time, as if visit by
        visit: to the last digit.
        """
        rows = rows.take(np.lexsort((rows.dia_source_id, rows.midpoint_mjd_tai)))
        ids, number = np.unique(rows.dia_object_id, return_inverse=True)
        ee, en, nn = inverse(position_covariance(rows))
        single = cls(
            dia_object_id=number,
            ra=rows.ra,
            dec=rows.dec,
            weight_ee=ee,
            weight_en=en,
            weight_nn=nn,
            n_sources=np.ones(len(rows), np.int64),
            first_mjd=rows.midpoint_mjd_tai,
            last_mjd=rows.midpoint_mjd_tai,
        )
        found = cls.empty()
        for turn in turns(number):
            found = found.joined_with(single.take(turn))
        return replace(found, dia_object_id=ids)

    def joined_with(self, other: Self) -> Self:
        """Return the DiaObjects of all DiaSources that two tables are made of."""
        both = np.intersect1d(
            self.dia_object_id, other.dia_object_id, return_indices=True
        )
        a, b = self.take(both[1]), other.take(both[2])
        joined = _met(a, b)
        alone = (
            table.take(~np.isin(table.dia_object_id, both[0]))
            for table in (self, other)
        )
        table = type(self).joined([joined, *alone])
        return table.take(np.argsort(table.dia_object_id))

    def covariance(self) -> Symmetric:
        """Return the covariances east-east, east-north, north-north [arcsec**2]."""
        return inverse((self.weight_ee, self.weight_en, self.weight_nn))


def _met(a: _Objects, b: _Objects) -> _Objects:
    """Return the DiaObjects of two tables with the same ones, row by row."""
    total = (
        a.weight_ee + b.weight_ee,
        a.weight_en + b.weight_en,
        a.weight_nn + b.weight_nn,
    )
    offset = offsets_arcsec(a.ra, a.dec, b.ra, b.dec)
    step = product(
        inverse(total), *product((b.weight_ee, b.weight_en, b.weight_nn), *offset)
    )
    ra, dec = moved(a.ra, a.dec, *step)
    return type(a)(
        dia_object_id=a.dia_object_id,
        ra=ra,
        dec=dec,
        weight_ee=total[0],
        weight_en=total[1],
        weight_nn=total[2],
        n_sources=a.n_sources + b.n_sources,
        first_mjd=np.minimum(a.first_mjd, b.first_mjd),
        last_mjd=np.maximum(a.last_mjd, b.last_mjd),
    )


def position_covariance(rows: SourceRows) -> Symmetric:
    """Return the covariances of positions: ee, en and nn on the plane [arcsec**2].

    The square of `FLOOR_ARCSEC` is added; errors that are not known are
    `UNKNOWN_ARCSEC`.
    """
    shrink = np.cos(np.radians(rows.dec))
    east = rows.ra_err * shrink * _ARCSEC
    north = rows.dec_err * _ARCSEC
    mixed = rows.ra_dec_cov * shrink * _ARCSEC**2
    known = np.isfinite(east) & np.isfinite(north) & (east > 0) & (north > 0)
    east, north = (np.where(known, e, UNKNOWN_ARCSEC) for e in (east, north))
    possible = known & np.isfinite(mixed) & (np.abs(mixed) < east * north)
    return (
        east**2 + FLOOR_ARCSEC**2,
        np.where(possible, mixed, 0.0),
        north**2 + FLOOR_ARCSEC**2,
    )
