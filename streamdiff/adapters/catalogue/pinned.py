"""A part of a catalogue, as it was before some time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from sqlalchemy import Connection, Table, insert, select

from streamdiff.adapters.catalogue.columns import among
from streamdiff.adapters.catalogue.engine import open_engine, translated
from streamdiff.adapters.catalogue.migrations import VERSION, version_of
from streamdiff.adapters.catalogue.session import SqlSession
from streamdiff.adapters.catalogue.sql import SqlCatalogue
from streamdiff.adapters.catalogue.tables import FORCED, OBJECTS, SOURCES
from streamdiff.errors import ConfigError
from streamdiff.imaging.sky_pixels import with_neighbours
from streamdiff.model import VisitReady
from streamdiff.pipeline.association.renew import renew
from streamdiff.ports.catalogue import Ids

# DiaObjects whose rows are in memory at a time.
_CHUNK = 5_000


class PinnedPart:
    """What a catalogue had before an event, copied where it is asked for.

    Parameters
    ----------
    source : Connection
        Of `opened`.
    target : SqlCatalogue
    before : VisitReady
        Nothing that is not earlier is copied.
    """

    def __init__(
        self, source: Connection, target: SqlCatalogue, before: VisitReady
    ) -> None:
        self._source = source
        self._target = target
        self._before = before
        self._copied = np.zeros(0, np.int64)

    def copy(self, pixels: Ids) -> None:
        """Copy the DiaObjects in pixels or beside them that were not copied yet.

        Raises
        ------
        StoreUnavailableError
            If the other catalogue does not answer.
        """
        new = np.setdiff1d(with_neighbours(pixels), self._copied)
        if not new.size:
            return
        engine = self._target.engine
        with translated(engine), engine.begin() as there:
            _copy(self._source, there, self._before, new)
        self._copied = np.union1d(self._copied, new)


@contextmanager
def opened(url: str) -> Iterator[Connection]:
    """Give a connection to a catalogue that reads what is true at its begin.

    Raises
    ------
    ConfigError
        If there is no catalogue, or of another version.
    StoreUnavailableError
        If the database does not answer.
    """
    engine = open_engine(url, timeout_s=60, read_only=True)
    shown = engine.url.render_as_string(hide_password=True)
    is_file = engine.dialect.name == "sqlite"
    if is_file and not Path(str(engine.url.database)).is_file():
        raise ConfigError(f"{shown}: there is no such catalogue")
    try:
        with translated(engine), engine.connect() as connection:
            if version_of(connection) != VERSION:
                raise ConfigError(
                    f"{shown}: no catalogue of version {VERSION}; a start of the "
                    "service brings an older one up to date"
                )
            yield connection
    finally:
        engine.dispose()


def _copy(here: Connection, there: Connection, event: VisitReady, pixels: Ids) -> None:
    session = SqlSession(connection=there, event=event, pixels=pixels)
    wanted = select(OBJECTS.c.dia_object_id).where(among(here, OBJECTS.c.pixel, pixels))
    ids = np.sort(np.array(here.execute(wanted).scalars().all(), np.int64))
    for start in range(0, len(ids), _CHUNK):
        part = ids[start : start + _CHUNK]
        for table in (SOURCES, FORCED):
            _copy_rows(here, there, table, event.midpoint_mjd_tai, part)
        renew(session, part)


def _copy_rows(
    here: Connection, there: Connection, table: Table, before_mjd: float, ids: Ids
) -> None:
    wanted = select(table).where(
        among(here, table.c.dia_object_id, ids), table.c.midpoint_mjd_tai < before_mjd
    )
    rows = [dict(row) for row in here.execute(wanted).mappings()]
    if table is SOURCES:
        # Merges of later times are not known yet, and those of earlier ones stay.
        rows = [row | {"assigned_id": row["dia_object_id"]} for row in rows]
    if rows:
        there.execute(insert(table), rows)
