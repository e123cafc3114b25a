"""Tables of the model to rows of the database, and back."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Connection,
    Table,
    bindparam,
    delete,
    func,
    insert,
    select,
)

from streamdiff.model.rows import Rows
from streamdiff.ports.catalogue import Ids

_Kind = TypeVar("_Kind", bound=Rows)


def selected(
    connection: Connection,
    kind: type[_Kind],
    table: Table,
    key: ColumnElement[int],
    values: Ids,
) -> _Kind:
    """Return the rows whose key is among some values."""
    if not len(values):
        return kind.empty()
    columns = [table.c[name] for name in kind.names()]
    wanted = select(*columns).where(among(connection, key, values))
    return kind.of_tuples(connection.execute(wanted).fetchall())


def among(
    connection: Connection, key: ColumnElement[int], values: Ids
) -> ColumnElement[bool]:
    """Return the condition that a key is among some values, however many.

    They are one parameter: statements with thousands take long to make, and databases
    refuse them from some number on.
    """
    unique = np.unique(values).tolist()
    if connection.dialect.name == "sqlite":
        each = func.json_each(json.dumps(unique)).table_valued("value")
        return key.in_(select(each.c.value))
    array = bindparam(None, unique, type_=ARRAY(BigInteger()))
    return key == array.any_()


def inserted(
    connection: Connection, table: Table, rows: Rows, **more: Iterable[Any]
) -> None:
    """Add the rows of a table of the model, and values of further columns."""
    if not len(rows):
        return
    columns = {name: cells(values) for name, values in rows.columns().items()}
    columns |= {name: list(values) for name, values in more.items()}
    listed = zip(*columns.values(), strict=True)
    if connection.dialect.name == "postgresql":
        _copy_in(connection, table, tuple(columns), listed)
        return
    connection.execute(
        insert(table), [dict(zip(columns, row, strict=True)) for row in listed]
    )


def _copy_in(
    connection: Connection,
    table: Table,
    names: Sequence[str],
    rows: Iterable[Sequence[Any]],
) -> None:
    """Add rows by COPY: PostgreSQL takes them in a quarter of the time of INSERT."""
    driver: Any = connection.connection.driver_connection
    with (
        driver.cursor() as cursor,
        cursor.copy(f"COPY {table.name} ({', '.join(names)}) FROM STDIN") as copy,
    ):
        for row in rows:
            copy.write_row(row)


def deleted(
    connection: Connection, table: Table, key: ColumnElement[int], values: Ids
) -> None:
    """Remove the rows whose key is among some values."""
    if len(values):
        connection.execute(delete(table).where(among(connection, key, values)))


def cells(values: NDArray[Any]) -> Sequence[Any]:
    """Return Python values, `None` in place of NaN."""
    if values.dtype.kind != "f" or not np.isnan(values).any():
        listed: list[Any] = values.tolist()
        return listed
    return [None if value != value else value for value in values.tolist()]  # noqa: PLR0124 (NaN)
