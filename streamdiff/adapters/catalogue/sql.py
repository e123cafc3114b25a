"""The catalogue in SQLite or PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from sqlalchemy import Connection, Engine, select

from streamdiff.adapters.catalogue.engine import (
    lock_exposure,
    lock_sky,
    lock_tables,
    open_engine,
    translated,
)
from streamdiff.adapters.catalogue.migrations import migrate
from streamdiff.adapters.catalogue.session import SqlSession
from streamdiff.adapters.catalogue.tables import FORCED, OBJECTS, SOURCES
from streamdiff.imaging.sky_pixels import with_neighbours
from streamdiff.model import VisitReady
from streamdiff.model.ids import source_id_range
from streamdiff.ports.catalogue import Ids


class SqlCatalogue:
    """A `streamdiff.ports.Catalogue` in a database; tables are made when needed.

    SQLite lets one transaction write at a time. PostgreSQL lets those that are about
    other parts of the sky go on: what is locked are HEALPix pixels, always in the
    same order, so that two exposures that overlap never make two DiaObjects of one
    source, nor wait for each other for ever.

    Parameters
    ----------
    url : str
        As SQLAlchemy writes it: ``sqlite:///file.db``, ``postgresql+psycopg://...``.
    timeout_s : float
        For how long to wait for connections and locks.

    Raises
    ------
    ConfigError
        If the URL names no database that can be used.
    """

    def __init__(self, url: str, *, timeout_s: float = 60.0) -> None:
        self._engine = open_engine(url, timeout_s=timeout_s)
        self._is_ready = False

    @contextmanager
    def session(self, event: VisitReady, pixels: Ids) -> Iterator[SqlSession]:
        """Yield a transaction: at the end all of it is kept, or, failing, nothing.

        Raises
        ------
        StoreUnavailableError
            If the database does not answer.
        UnprocessableError
            If another instrument has the same visit and detector.
        ConfigError
            If a newer streamdiff has made the catalogue.
        """
        self.prepare()
        with translated(self._engine), self._engine.begin() as connection:
            lock_exposure(connection, event.visit, event.detector)
            before = _pixels_of_exposure(connection, event)
            around = with_neighbours(np.concatenate([pixels, before]))
            lock_sky(connection, around)
            session = SqlSession(connection=connection, event=event, pixels=around)
            session.announce()
            yield session

    def prepare(self) -> None:
        """Connect, and make the tables or bring them up to date.

        Raises
        ------
        StoreUnavailableError
            If the database does not answer.
        ConfigError
            If a newer streamdiff has made the catalogue.
        """
        if self._is_ready:
            return
        with translated(self._engine), self._engine.begin() as connection:
            lock_tables(connection)
            migrate(connection)
        self._is_ready = True

    @property
    def engine(self) -> Engine:
        """Return the connections to the database."""
        return self._engine

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def _pixels_of_exposure(connection: Connection, event: VisitReady) -> Ids:
    """Return where the DiaObjects are that an earlier run of an exposure added to.

    It may have had another WCS.
    """
    first, last = source_id_range(event.visit, event.detector)
    ours = (
        select(SOURCES.c.dia_object_id)
        .where(SOURCES.c.dia_source_id.between(first, last))
        .union(
            select(FORCED.c.dia_object_id).where(
                FORCED.c.visit == event.visit, FORCED.c.detector == event.detector
            )
        )
    )
    pixels = select(OBJECTS.c.pixel).where(OBJECTS.c.dia_object_id.in_(ours)).distinct()
    return np.array(connection.execute(pixels).scalars().all(), np.int64)
