"""DiaSources of alerts as tables that other programs open: Parquet and VOTable."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io.votable import from_table
from astropy.table import MaskedColumn, Table

from streamdiff.adapters.avro.schemas import load
from streamdiff.adapters.whole_file import write_whole
from streamdiff.app.alerts.reading import Record
from streamdiff.errors import ConfigError

# Name of the column that tells whether fluxes are calibrated: else they are in the
# unit of the image.
PHOTOMETRIC = "photometric"
_ROWS_AT_ONCE = 4096
_UNIT = re.compile(r"\[([^]]+)\]")
# Units of the schemas that are no units to others, or another way to spell them.
_SPELLED = {"dimensionless": "", "sigma": "", "MJD, TAI": "d"}
_TYPES: Mapping[str, str] = {
    "boolean": "bool",
    "int": "int32",
    "long": "int64",
    "float": "float32",
    "double": "float64",
    "string": "str",
}
# What stands where there is no value, in columns that can not be without one.
_BLANKS = {"bool": False, "int32": 0, "int64": 0, "str": ""}
_INSTALL = "pip install 'streamdiff[parquet]'"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableColumn:
    """A column of the table.

    Attributes
    ----------
    name, unit, description : str
    dtype : str
        Name of the type in numpy.
    """

    name: str
    unit: str
    description: str
    dtype: str


@cache
def table_columns() -> tuple[TableColumn, ...]:
    """Return the columns: the fields of a DiaSource, and whether fluxes are in nJy."""
    fields = load("alert")["fields"]
    source = next(f["type"] for f in fields if f["name"] == "diaSource")
    note = "Whether fluxes are in nJy, else in the unit of the image."
    photometric = TableColumn(name=PHOTOMETRIC, unit="", description=note, dtype="bool")
    return (*map(_column, source["fields"]), photometric)


def write_table(path: Path, records: Iterable[Record]) -> int:
    """Write the DiaSources of alerts, as a whole or not at all.

    Parameters
    ----------
    path : Path
        Its ending, ``.parquet``, or ``.vot`` or ``.xml``, decides the format.
    records : iterable of mapping

    Returns
    -------
    int
        Number of rows.

    Raises
    ------
    ConfigError
        If no format has that ending, or pyarrow is not installed.
    StoreUnavailableError
        If the file can not be written.
    """
    encode = _ENCODERS.get(path.suffix.lower())
    if encode is None:
        raise ConfigError(f"{path}: the name must end in {', '.join(_ENCODERS)}")
    content, n_rows = encode(records)
    write_whole(path, content)
    return n_rows


def _column(field: Mapping[str, Any]) -> TableColumn:
    kinds = field["type"] if isinstance(field["type"], list) else [field["type"]]
    kind = next(kind for kind in kinds if kind != "null")
    doc = str(field.get("doc", ""))
    told = _UNIT.search(doc)
    unit = told[1] if told else ""
    return TableColumn(
        name=field["name"],
        unit=_SPELLED.get(unit, unit.replace("pixel", "pix")),
        description=doc,
        dtype=_TYPES[kind],
    )


def _values(records: Iterable[Record]) -> list[list[Any]]:
    """Return the values of all columns, `None` where one is missing."""
    columns: list[list[Any]] = [[] for _ in table_columns()]
    for record in records:
        for values, value in zip(columns, _row(record), strict=True):
            values.append(value)
    return columns


def _row(record: Record) -> tuple[Any, ...]:
    source = record["diaSource"]
    photometric = (record.get("provenance") or {}).get(PHOTOMETRIC)
    names = (column.name for column in table_columns()[:-1])
    return (*map(source.get, names), photometric)


def _parquet(records: Iterable[Record]) -> tuple[bytes, int]:
    try:
        import pyarrow as pa  # noqa: PLC0415 (an extra)
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ModuleNotFoundError as err:
        raise ConfigError(f"Parquet needs pyarrow: {_INSTALL}") from err
    schema = pa.schema(
        [
            pa.field(
                column.name,
                pa.string()
                if column.dtype == "str"
                else pa.from_numpy_dtype(np.dtype(column.dtype)),
                metadata={"unit": column.unit, "description": column.description},
            )
            for column in table_columns()
        ]
    )
    buffer, n_rows = BytesIO(), 0
    with pq.ParquetWriter(buffer, schema, compression="zstd") as writer:
        for some in _batches(records):
            arrays = [
                pa.array(values, type=field.type)
                for values, field in zip(_values(some), schema, strict=True)
            ]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
            n_rows += len(some)
    return buffer.getvalue(), n_rows


def _votable(records: Iterable[Record]) -> tuple[bytes, int]:
    columns = [
        MaskedColumn(
            _masked(values, column),
            name=column.name,
            unit=column.unit or None,
            description=column.description,
        )
        for values, column in zip(_values(records), table_columns(), strict=True)
    ]
    buffer = BytesIO()
    from_table(Table(columns)).to_xml(buffer)
    return buffer.getvalue(), len(columns[0])


def _masked(values: list[Any], column: TableColumn) -> np.ma.MaskedArray:
    """Return a column's values, masked where one is missing."""
    blank = _BLANKS.get(column.dtype, np.nan)
    # a text of no rows has no length
    dtype = np.dtype("U8" if column.dtype == "str" and not values else column.dtype)
    filled = [blank if value is None else value for value in values]
    return np.ma.masked_array(filled, [v is None for v in values], dtype=dtype)


def _batches(records: Iterable[Record]) -> Iterator[list[Record]]:
    left = iter(records)
    while some := list(islice(left, _ROWS_AT_ONCE)):
        yield some


_ENCODERS: Mapping[str, Callable[[Iterable[Record]], tuple[bytes, int]]] = {
    ".parquet": _parquet,
    ".vot": _votable,
    ".xml": _votable,
}
