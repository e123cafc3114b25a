"""Tables of the model to rows of the database, and back."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, Table, delete, insert, select

from streamdiff.model.rows import Rows
from streamdiff.ports.catalogue import Ids

# Of the parameters of one statement: SQLite takes 32,766, PostgreSQL 65,535.
_MOST_IDS = 10_000

_Kind = TypeVar("_Kind", bound=Rows)


def selected(
    connection: Connection,
    kind: type[_Kind],
    table: Table,
    key: ColumnElement[int],
    values: Ids,
) -> _Kind:
    """Return the rows whose key is among some values."""
    columns = [table.c[name] for name in kind.names()]
    parts = [
        kind.of_tuples(connection.execute(select(*columns).where(some)).fetchall())
        for some in among(key, values)
    ]
    return kind.joined(parts)


def among(key: ColumnElement[int], values: Ids) -> Iterator[ColumnElement[bool]]:
    """Yield conditions that a key is among some of the values, until all had one."""
    unique = np.unique(values).tolist()
    for start in range(0, len(unique), _MOST_IDS):
        yield key.in_(unique[start : start + _MOST_IDS])


def inserted(
    connection: Connection, table: Table, rows: Rows, **more: Iterable[Any]
) -> None:
    """Add the rows of a table of the model, and values of further columns."""
    if not len(rows):
        return
    columns = {name: cells(values) for name, values in rows.columns().items()}
    columns |= {name: list(values) for name, values in more.items()}
    listed = zip(*columns.values(), strict=True)
    connection.execute(
        insert(table), [dict(zip(columns, row, strict=True)) for row in listed]
    )


def deleted(connection: Connection, key: ColumnElement[int], values: Ids) -> None:
    """Remove the rows whose key is among some values."""
    for some in among(key, values):
        connection.execute(delete(_table_of(key)).where(some))


def cells(values: NDArray[Any]) -> Sequence[Any]:
    """Return Python values, `None` in place of NaN."""
    if values.dtype.kind != "f" or not np.isnan(values).any():
        listed: list[Any] = values.tolist()
        return listed
    return [None if value != value else value for value in values.tolist()]  # noqa: PLR0124 (NaN)


def _table_of(key: Any) -> Table:  # noqa: ANN401 (a column of a table)
    table: Table = key.table
    return table
