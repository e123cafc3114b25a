"""The tables of the catalogue."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
)
from sqlalchemy.types import TypeEngine

from streamdiff.model import BandStatistics, DiaObjects, ForcedRows, SourceRows
from streamdiff.model.rows import Rows

METADATA = MetaData()
_TYPES: dict[str, TypeEngine[Any]] = {
    "i8": BigInteger(),
    "f8": Double(),
    "U": String(),
}


def _columns(kind: type[Rows], *keys: str) -> list[Column[Any]]:
    """Return the columns that keep a table of the model; integers are never null."""
    return [
        Column(
            name,
            _TYPES[dtype],
            primary_key=name in keys,
            autoincrement=False,
            nullable=dtype == "f8",
        )
        for name, dtype in kind.dtypes().items()
    ]


VERSIONS = Table(
    "catalogue_version", METADATA, Column("version", Integer, primary_key=True)
)

# Which instrument an exposure is of: ids of DiaSources do not tell.
EXPOSURES = Table(
    "exposures",
    METADATA,
    Column("visit", BigInteger, primary_key=True, autoincrement=False),
    Column("detector", BigInteger, primary_key=True, autoincrement=False),
    Column("instrument", String, nullable=False),
    Column("band", String, nullable=False),
    Column("midpoint_mjd_tai", Double, nullable=False),
    Column("event_id", String, nullable=False),
    sqlite_with_rowid=False,
)

# `pixel` is that of the mean position, see `streamdiff.imaging.sky_pixels`.
OBJECTS = Table(
    "dia_objects",
    METADATA,
    *_columns(DiaObjects, "dia_object_id"),
    Column("pixel", BigInteger, nullable=False, index=True),
)

BANDS = Table(
    "dia_object_bands",
    METADATA,
    *_columns(BandStatistics, "dia_object_id", "band"),
    sqlite_with_rowid=False,
)

# `dia_object_id` is what the DiaSource belongs to, `assigned_id` what it did before
# DiaObjects were merged. `record` has all that was measured, in Avro.
SOURCES = Table(
    "dia_sources",
    METADATA,
    *_columns(SourceRows, "dia_source_id"),
    Column("assigned_id", BigInteger, nullable=False),
    Column("schema_version", String, nullable=False),
    Column("record", LargeBinary, nullable=False),
    Index("dia_sources_of_object", "dia_object_id", "midpoint_mjd_tai"),
)

FORCED = Table(
    "dia_forced_sources",
    METADATA,
    *_columns(ForcedRows, "dia_object_id", "visit", "detector"),
    Index("dia_forced_sources_of_exposure", "visit", "detector"),
    sqlite_with_rowid=False,
)

# Which DiaObjects became part of another one, and which exposure showed that.
MERGES = Table(
    "dia_object_merges",
    METADATA,
    Column("absorbed_id", BigInteger, primary_key=True, autoincrement=False),
    Column("survivor_id", BigInteger, nullable=False, index=True),
    Column("visit", BigInteger, nullable=False),
    Column("detector", BigInteger, nullable=False),
    Index("dia_object_merges_of_exposure", "visit", "detector"),
)
