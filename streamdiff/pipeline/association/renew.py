"""DiaObjects from their rows: added to, or made anew."""

import numpy as np

from streamdiff.model import (
    NO_OBJECT,
    BandStatistics,
    DiaObjects,
    ForcedRows,
    SourceRows,
)
from streamdiff.ports import CatalogueSession
from streamdiff.ports.catalogue import Ids


def renew(session: CatalogueSession, dia_object_ids: Ids) -> None:
    """Make DiaObjects anew from all their rows; those without any are withdrawn."""
    if not len(dia_object_ids):
        return
    rows = session.sources_of(dia_object_ids)
    objects = DiaObjects.of_sources(rows)
    session.withdraw(np.setdiff1d(dia_object_ids, objects.dia_object_id))
    forced = session.forced_of(objects.dia_object_id)
    statistics = BandStatistics.of_sources(rows).followed_by(
        BandStatistics.of_forced(forced)
    )
    session.put(objects, statistics)


def add(
    session: CatalogueSession, known: DiaObjects, rows: SourceRows, forced: ForcedRows
) -> tuple[DiaObjects, BandStatistics]:
    """Add the rows of an exposure to the DiaObjects that they are of.

    Parameters
    ----------
    session : CatalogueSession
        Has the rows already.
    known : DiaObjects
        Those of before.
    rows : SourceRows
    forced : ForcedRows

    Returns
    -------
    tuple of DiaObjects and BandStatistics
        Those that have a row of the exposure, as they are now.

    Notes
    -----
    What is known of a DiaObject is added to without a look at its other rows, unless
    some of them are not earlier: slopes are between neighbours in time, and the last
    digits of means depend on the order.
    """
    rows = rows.take(rows.dia_object_id != NO_OBJECT)
    new = BandStatistics.of_sources(rows).followed_by(BandStatistics.of_forced(forced))
    before = session.statistics_of(new.dia_object_id)
    met = known.take(np.isin(known.dia_object_id, rows.dia_object_id))
    unordered = np.union1d(before.not_before(new), _later(met, rows))
    objects = met.joined_with(DiaObjects.of_sources(rows))
    statistics = before.followed_by(new)
    session.put(objects, statistics)
    if not len(unordered):
        return objects, statistics
    renew(session, unordered)
    return renewed(session, objects, statistics, unordered)


def _later(objects: DiaObjects, rows: SourceRows) -> Ids:
    """Return the DiaObjects whose last DiaSource is not before some rows."""
    begin = rows.midpoint_mjd_tai.min(initial=np.inf)
    return objects.take(objects.last_mjd >= begin).dia_object_id


def renewed(
    session: CatalogueSession,
    objects: DiaObjects,
    statistics: BandStatistics,
    dia_object_ids: Ids,
) -> tuple[DiaObjects, BandStatistics]:
    """Return tables in which some DiaObjects are as the catalogue has them now."""
    stay = ~np.isin(objects.dia_object_id, dia_object_ids)
    others = ~np.isin(statistics.dia_object_id, dia_object_ids)
    return (
        DiaObjects.joined([objects.take(stay), session.objects_of(dia_object_ids)]),
        BandStatistics.joined(
            [statistics.take(others), session.statistics_of(dia_object_ids)]
        ),
    )
