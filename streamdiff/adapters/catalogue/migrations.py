"""Versions of the tables, and how a catalogue of an older one is brought up to date."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from sqlalchemy import Connection, inspect, select, text, update

from streamdiff.adapters.catalogue.tables import METADATA, VERSIONS
from streamdiff.errors import ConfigError

VERSION = 2
# Statements that lead from a version to the next one; SQLite and PostgreSQL take them.
MIGRATIONS: Mapping[int, Sequence[str]] = MappingProxyType(
    {1: ("ALTER TABLE dia_forced_sources ADD time_processed_mjd_tai DOUBLE PRECISION",)}
)


def migrate(
    connection: Connection,
    *,
    version: int = VERSION,
    migrations: Mapping[int, Sequence[str]] = MIGRATIONS,
) -> None:
    """Make the tables, or bring them up to date.

    Parameters
    ----------
    connection : Connection
        In a transaction that nobody else makes tables in.
    version : int
        Of the tables as they are to be.
    migrations : mapping of int to sequence of str

    Raises
    ------
    ConfigError
        If a newer streamdiff has made them.
    """
    found = version_of(connection)
    if found is None:
        METADATA.create_all(connection)
        connection.execute(VERSIONS.insert().values(version=version))
        return
    if found > version:
        raise ConfigError(
            f"the catalogue has version {found}, this streamdiff knows {version}: "
            "a newer one has made it"
        )
    for step in range(found, version):
        for statement in migrations[step]:
            connection.execute(text(statement))
        connection.execute(update(VERSIONS).values(version=step + 1))


def version_of(connection: Connection) -> int | None:
    """Return the version of the tables; `None` if there are none."""
    if not inspect(connection).has_table(VERSIONS.name):
        return None
    version: int | None = connection.execute(select(VERSIONS.c.version)).scalar()
    return version
