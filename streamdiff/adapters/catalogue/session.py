"""One transaction of the catalogue."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from typing import Any

import numpy as np
from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    and_,
    delete,
    insert,
    select,
    update,
)

from streamdiff.adapters.catalogue.columns import among, deleted, inserted, selected
from streamdiff.adapters.catalogue.merges import undo_merges
from streamdiff.adapters.catalogue.records import decoded, encoded, written_version
from streamdiff.adapters.catalogue.tables import (
    BANDS,
    EXPOSURES,
    FORCED,
    MERGES,
    OBJECTS,
    SOURCES,
)
from streamdiff.errors import UnprocessableError
from streamdiff.imaging.sky_pixels import sky_pixels
from streamdiff.model import (
    BandStatistics,
    DiaObjects,
    DiaSources,
    ForcedRows,
    SourceRows,
    VisitReady,
)
from streamdiff.model.ids import source_id_range
from streamdiff.ports.catalogue import History, Ids, Record


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SqlSession:
    """A `streamdiff.ports.CatalogueSession` on an open connection.

    Attributes
    ----------
    connection : Connection
        In a transaction that nobody else changes the pixels in.
    event : VisitReady
    pixels : ndarray of int64
    """

    connection: Connection
    event: VisitReady
    pixels: Ids

    def announce(self) -> None:
        """Note which exposure the transaction is about.

        Raises
        ------
        UnprocessableError
            If its ids are those of another camera.
        """
        is_ours, event = self._is_ours(EXPOSURES), self.event
        other = self.connection.execute(
            select(EXPOSURES.c.instrument).where(is_ours)
        ).scalar()
        if other not in {None, event.instrument}:
            raise UnprocessableError(
                f"{event.exposure_id}: the catalogue has this visit and detector of "
                f"{other}, and ids do not tell instruments apart: each one needs a "
                "[catalogue] url of its own"
            )
        self.connection.execute(delete(EXPOSURES).where(is_ours))
        self.connection.execute(
            insert(EXPOSURES).values(
                visit=event.visit,
                detector=event.detector,
                instrument=event.instrument,
                band=event.band,
                midpoint_mjd_tai=event.midpoint_mjd_tai,
                event_id=event.event_id,
            )
        )

    def forget(self) -> Ids:
        """Remove what an earlier run has left; return the DiaObjects it was about."""
        ours = self._is_ours(SOURCES), self._is_ours(FORCED)
        touched = [
            self.connection.execute(select(column).where(where).distinct()).scalars()
            for column, where in zip(
                (SOURCES.c.dia_object_id, FORCED.c.dia_object_id), ours, strict=True
            )
        ]
        ids = set(chain.from_iterable(touched))
        for table, where in zip((SOURCES, FORCED), ours, strict=True):
            self.connection.execute(delete(table).where(where))
        ids |= undo_merges(self.connection, self._is_ours(MERGES))
        return np.array(sorted(ids - {0}), np.int64)

    def objects(self) -> DiaObjects:
        """Return the DiaObjects in the pixels of the transaction, by id."""
        return self._by_id(OBJECTS.c.pixel, self.pixels)

    def taken(self, dia_object_ids: Ids) -> Ids:
        """Return those of some ids that a DiaObject has, or has had before a merge."""
        found = set[int]()
        for column in (OBJECTS.c.dia_object_id, MERGES.c.absorbed_id):
            some = among(self.connection, column, dia_object_ids)
            wanted = select(column).where(some)
            found.update(self.connection.execute(wanted).scalars())
        return np.array(sorted(found), np.int64)

    def objects_of(self, dia_object_ids: Ids) -> DiaObjects:
        """Return some DiaObjects, by id."""
        return self._by_id(OBJECTS.c.dia_object_id, dia_object_ids)

    def sources_of(self, dia_object_ids: Ids) -> SourceRows:
        """Return all DiaSources of some DiaObjects."""
        key = SOURCES.c.dia_object_id
        return selected(self.connection, SourceRows, SOURCES, key, dia_object_ids)

    def forced_of(self, dia_object_ids: Ids) -> ForcedRows:
        """Return all forced sources of some DiaObjects."""
        key = FORCED.c.dia_object_id
        return selected(self.connection, ForcedRows, FORCED, key, dia_object_ids)

    def statistics_of(self, dia_object_ids: Ids) -> BandStatistics:
        """Return what was put of some DiaObjects."""
        key = BANDS.c.dia_object_id
        return selected(self.connection, BandStatistics, BANDS, key, dia_object_ids)

    def add_sources(self, rows: SourceRows, sources: DiaSources) -> None:
        """Keep the DiaSources of the exposure."""
        inserted(
            self.connection,
            SOURCES,
            rows,
            assigned_id=rows.dia_object_id.tolist(),
            schema_version=[written_version()] * len(rows),
            record=encoded(sources),
        )

    def add_forced(self, rows: ForcedRows) -> None:
        """Keep the forced sources of the exposure."""
        inserted(self.connection, FORCED, rows)

    def put(self, objects: DiaObjects, statistics: BandStatistics) -> None:
        """Keep DiaObjects, in place of what was known of them."""
        ids = np.union1d(objects.dia_object_id, statistics.dia_object_id)
        self._delete(BANDS, ids)
        self._delete(OBJECTS, objects.dia_object_id)
        pixels = sky_pixels(objects.ra, objects.dec).tolist()
        inserted(self.connection, OBJECTS, objects, pixel=pixels)
        inserted(self.connection, BANDS, statistics)

    def withdraw(self, dia_object_ids: Ids) -> None:
        """Remove DiaObjects that no DiaSource is left of, and their forced sources."""
        for table in (OBJECTS, BANDS, FORCED):
            self._delete(table, dia_object_ids)

    def merge(self, absorbed: int, survivor: int) -> None:
        """Give the DiaSources of one DiaObject to another, and remove the one.

        Its forced sources are kept, for it may come back.
        """
        key = SOURCES.c.dia_object_id
        self.connection.execute(
            update(SOURCES).where(key == absorbed).values(dia_object_id=survivor)
        )
        for table in (OBJECTS, BANDS):
            self._delete(table, np.array([absorbed]))
        self.connection.execute(
            insert(MERGES).values(
                absorbed_id=absorbed,
                survivor_id=survivor,
                visit=self.event.visit,
                detector=self.event.detector,
            )
        )

    def history(
        self, dia_object_ids: Ids, *, since_mjd: float, before_mjd: float
    ) -> Mapping[int, History]:
        """Return DiaSources and forced sources of a range of times, by DiaObject."""
        times = (since_mjd, before_mjd)
        sources = self._dated_sources(dia_object_ids, times)
        forced = defaultdict[int, list[Record]](list)
        names = ForcedRows.names()
        for row in self._dated(FORCED, names, dia_object_ids, times):
            values = dict(zip(names, row, strict=True))
            forced[values["dia_object_id"]].append(_forced_record(values))
        return {
            i: History(
                dia_sources=tuple(sources.get(i, ())),
                dia_forced_sources=tuple(forced.get(i, ())),
            )
            for i in sources.keys() | forced.keys()
        }

    def _dated_sources(
        self, dia_object_ids: Ids, times: tuple[float, float]
    ) -> Mapping[int, list[Record]]:
        """Return DiaSources of a range of times, by DiaObject, in their order."""
        names = ("dia_object_id", "ss_object_id", "band", "schema_version", "record")
        found = defaultdict[int, list[Record]](list)
        rows = self._dated(SOURCES, names, dia_object_ids, times)
        for version, same in groupby(rows, lambda row: row[3]):
            listed = list(same)
            contents = decoded([row[4] for row in listed], version)
            for row, record in zip(listed, contents, strict=True):
                record["diaObjectId"], record["ssObjectId"] = row[0], row[1] or None
                record["band"] = row[2]
                found[row[0]].append(record)
        return found

    def _dated(
        self,
        table: Table,
        names: Sequence[str],
        dia_object_ids: Ids,
        times: tuple[float, float],
    ) -> Sequence[Sequence[Any]]:
        """Return columns of rows of a range of times, in their order."""
        if not len(dia_object_ids):
            return []
        key, midpoint = table.c.dia_object_id, table.c.midpoint_mjd_tai
        identity = table.c[f"{table.name.removesuffix('s')}_id"]
        inside = midpoint >= times[0], midpoint < times[1]
        wanted = (
            select(*(table.c[name] for name in names))
            .where(among(self.connection, key, dia_object_ids), *inside)
            .order_by(midpoint, identity)
        )
        return self.connection.execute(wanted).fetchall()

    def _delete(self, table: Table, dia_object_ids: Ids) -> None:
        deleted(self.connection, table, table.c.dia_object_id, dia_object_ids)

    def _by_id(self, key: ColumnElement[int], values: Ids) -> DiaObjects:
        found = selected(self.connection, DiaObjects, OBJECTS, key, values)
        return found.take(np.argsort(found.dia_object_id))

    def _is_ours(self, table: Table) -> ColumnElement[bool]:
        """Return the condition that a row is of the exposure."""
        visit, detector = self.event.visit, self.event.detector
        if table is SOURCES:
            first, last = source_id_range(visit, detector)
            between: ColumnElement[bool] = SOURCES.c.dia_source_id.between(first, last)
            return between
        return and_(table.c.visit == visit, table.c.detector == detector)


def _forced_record(values: Mapping[str, Any]) -> Record:
    """Return the fields of the Avro record of a forced source."""
    return {
        "diaForcedSourceId": values["dia_forced_source_id"],
        "diaObjectId": values["dia_object_id"],
        "ra": values["ra"],
        "dec": values["dec"],
        "visit": values["visit"],
        "detector": values["detector"],
        "psfFlux": values["psf_flux"],
        "psfFluxErr": values["psf_flux_err"],
        "midpointMjdTai": values["midpoint_mjd_tai"],
        "scienceFlux": values["science_flux"],
        "scienceFluxErr": values["science_flux_err"],
        "band": values["band"],
        "timeProcessedMjdTai": values["time_processed_mjd_tai"],
        "timeWithdrawnMjdTai": None,
    }
