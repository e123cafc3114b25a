"""Connections to SQLite and PostgreSQL, and what locks mean in each."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from zlib import crc32

import numpy as np
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from streamdiff.errors import ConfigError, StoreUnavailableError
from streamdiff.imaging.sky_pixels import coarser
from streamdiff.ports.catalogue import Ids

# Of the pixels that PostgreSQL locks, 27 arcmin: few per detector.
_LOCK_ORDER = 7
# Advisory locks are named by two numbers; these are streamdiff's, by what is locked.
_LOCK_TABLES, _LOCK_EXPOSURES, _LOCK_SKY = 0x5D1FF0, 0x5D1FF1, 0x5D1FF2
_KEY_BITS = 31


def open_engine(url: str, *, timeout_s: float, read_only: bool = False) -> Engine:
    """Return an engine for a URL; nothing is connected yet.

    Parameters
    ----------
    url : str
    timeout_s : float
        For how long to wait for connections and locks.
    read_only : bool
        Whether transactions read what is true at their begin, and leave writers alone.

    Raises
    ------
    ConfigError
        If the URL names no database that can be used.
    """
    try:
        parsed = make_url(url)
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        return _opened(parsed, timeout_s, read_only=read_only)
    except (ArgumentError, NoSuchModuleError) as err:
        raise ConfigError(
            f"{err}; such as sqlite:///streamdiff.db or postgresql+psycopg://host/name"
        ) from err
    except ModuleNotFoundError as err:
        raise ConfigError(f"{err}: install streamdiff[postgres]") from err


def _opened(url: URL, timeout_s: float, *, read_only: bool) -> Engine:
    backend = url.get_backend_name()
    if backend == "sqlite":
        if url.database in {None, "", ":memory:"}:
            raise ConfigError("workers share no database in memory: name a file")
        engine = create_engine(url, connect_args={"timeout": timeout_s})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin if read_only else _begin_immediate)
        return engine
    if backend == "postgresql":
        engine = create_engine(
            url,
            pool_pre_ping=True,
            pool_size=1,
            max_overflow=0,
            connect_args={"connect_timeout": max(int(timeout_s), 2)},
            isolation_level="REPEATABLE READ" if read_only else "READ COMMITTED",
        )
        event.listen(engine, "connect", _prepare_postgres)
        limit_ms = int(timeout_s * 1000)

        def limit_locks(connection: Connection) -> None:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {limit_ms}")

        event.listen(engine, "begin", limit_locks)
        return engine
    raise ConfigError(f"{backend} is no database for this: sqlite or postgresql")


def _prepare_sqlite(connection: Any, _record: object) -> None:  # noqa: ANN401 (DBAPI)
    # Otherwise the driver begins transactions by itself, and later than is told to.
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode = WAL")
    # What is committed has to outlive a power failure: offsets in Kafka do.
    connection.execute("PRAGMA synchronous = FULL")


def _prepare_postgres(connection: Any, _record: object) -> None:  # noqa: ANN401 (DBAPI)
    # The locks of a machine that is gone without a word are let go of in a minute.
    for setting in ("idle = 30", "interval = 10", "count = 3"):
        connection.execute(f"SET tcp_keepalives_{setting}")
    connection.commit()


def _begin(connection: Connection) -> None:
    """Read what is true now until the transaction ends; others may write."""
    connection.exec_driver_sql("BEGIN")


def _begin_immediate(connection: Connection) -> None:
    """Take the one lock of the file at once: what is read then stays true."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def lock_tables(connection: Connection) -> None:
    """Let nobody else make tables until the end of the transaction."""
    _lock(connection, _LOCK_TABLES, np.zeros(1, int))


def lock_exposure(connection: Connection, visit: int, detector: int) -> None:
    """Let nobody else change what an exposure has left, until the transaction ends."""
    exposure = crc32(f"{visit}/{detector}".encode()) >> (32 - _KEY_BITS)
    _lock(connection, _LOCK_EXPOSURES, np.array([exposure]))


def lock_sky(connection: Connection, pixels: Ids) -> None:
    """Let nobody else change DiaObjects in some pixels; once per transaction."""
    _lock(connection, _LOCK_SKY, coarser(pixels, _LOCK_ORDER))


def _lock(connection: Connection, kind: int, keys: Ids) -> None:
    """Take advisory locks in the order of their keys, so that nobody waits in a ring.

    SQLite has locked all of the file already.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(
            text(
                "SELECT pg_advisory_xact_lock(:kind, key) FROM (SELECT unnest("
                "CAST(:keys AS integer[])) AS key ORDER BY 1) AS sorted"
            ),
            {"kind": kind, "keys": np.unique(keys).tolist()},
        )


@contextmanager
def translated(engine: Engine) -> Iterator[None]:
    """Turn errors of the database into those of streamdiff."""
    try:
        yield
    except (DBAPIError, PoolTimeoutError) as err:
        cause = str(getattr(err, "orig", None) or err).strip().splitlines()
        where = engine.url.render_as_string(hide_password=True)
        raise StoreUnavailableError(
            f"catalogue {where}: {cause[0] if cause else type(err).__name__}"
        ) from err
