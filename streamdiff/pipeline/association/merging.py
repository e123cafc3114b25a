"""DiaObjects that turn out to be one."""

from itertools import pairwise

import numpy as np

from streamdiff.imaging.sky_neighbours import neighbours
from streamdiff.model import DiaObjects, SourceRows
from streamdiff.model.dia_objects import FLOOR_ARCSEC
from streamdiff.model.ids import DETECTOR_BITS, RANK_BITS
from streamdiff.model.rows import Flags, Ints
from streamdiff.model.tangent_plane import inverse, offsets_arcsec, product
from streamdiff.ports import CatalogueSession

# Squared distance in standard errors: 99 % of those that are one are nearer.
_LIMIT = 9.0


def merged(
    session: CatalogueSession, objects: DiaObjects, seen: Ints, *, radius_arcsec: float
) -> dict[int, int]:
    """Merge DiaObjects that were seen with those that they can not be told from.

    Two DiaObjects are one if their positions agree within the radius and 3 standard
    errors, and no visit has seen both: such pairs come of first positions that were
    off by chance. The one that was seen first stays.

    Parameters
    ----------
    session : CatalogueSession
    objects : DiaObjects
        Of now, around the exposure.
    seen : ndarray of int64
        Ids of those that have a DiaSource of the exposure.
    radius_arcsec : float

    Returns
    -------
    dict of int to int
        Absorbed -> survivor. A DiaObject has part in one merge per exposure.
    """
    found = dict[int, int]()
    for absorbed, survivor in _alike(objects, seen, radius_arcsec):
        if {absorbed, survivor} & {*found, *found.values()}:
            continue
        if not _met(session.sources_of(np.array([absorbed, survivor]))):
            session.merge(absorbed, survivor)
            found[absorbed] = survivor
    return found


def _alike(
    objects: DiaObjects, seen: Ints, radius_arcsec: float
) -> list[tuple[int, int]]:
    """Return pairs that lie together, the younger one first; the nearest first."""
    is_seen = np.isin(objects.dia_object_id, seen)
    here = np.flatnonzero(is_seen)
    near = neighbours(
        objects.ra[here],
        objects.dec[here],
        objects.ra,
        objects.dec,
        radius_arcsec=radius_arcsec,
    )
    a, b = here[near[0]], near[1]
    other = ~is_seen[b]
    a, b = a[other], b[other]
    distance2 = _distance2(objects.take(a), objects.take(b))
    close = distance2 <= _LIMIT
    a, b = a[close], b[close]
    swap = _is_older(objects.take(a), objects.take(b))
    absorbed = objects.dia_object_id[np.where(swap, b, a)]
    survivor = objects.dia_object_id[np.where(swap, a, b)]
    order = np.lexsort((survivor, absorbed, distance2[close]))
    return list(zip(absorbed[order].tolist(), survivor[order].tolist(), strict=True))


def _distance2(
    a: DiaObjects, b: DiaObjects
) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    ee, en, nn = (p + q for p, q in zip(a.covariance(), b.covariance(), strict=True))
    floor = FLOOR_ARCSEC**2
    east, north = offsets_arcsec(a.ra, a.dec, b.ra, b.dec)
    scaled = product(inverse((ee + floor, en, nn + floor)), east, north)
    return east * scaled[0] + north * scaled[1]


def _is_older(a: DiaObjects, b: DiaObjects) -> Flags:
    same = a.first_mjd == b.first_mjd
    older: Flags = (a.first_mjd < b.first_mjd) | (
        same & (a.dia_object_id < b.dia_object_id)
    )
    return older


def _met(rows: SourceRows) -> bool:
    """Return whether a visit has DiaSources of both DiaObjects."""
    visits = rows.dia_source_id >> (DETECTOR_BITS + RANK_BITS)
    both = sorted(zip(visits.tolist(), rows.dia_object_id.tolist(), strict=True))
    return any(v == w and a != b for (v, a), (w, b) in pairwise(both))
