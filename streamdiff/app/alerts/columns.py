"""Many alerts in little memory: one array per field, one row per alert."""

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamdiff.app.alerts.fields import Group, Value, flattened, group_of
from streamdiff.app.alerts.reading import (
    AlertSource,
    Located,
    Place,
    VisitDetector,
)
from streamdiff.errors import UndecodableError

VISIT, DETECTOR = "diaSource.visit", "diaSource.detector"
RA, DEC, ID = "diaSource.ra", "diaSource.dec", "diaSourceId"
_NEEDED = _ORDER = (VISIT, DETECTOR, ID, RA, DEC)
# Rows that are kept as Python values before they become arrays.
_CHUNK = 1024
_INTEGERS = (np.int8, np.int16, np.int32, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class FieldColumn:
    """The values of a field, in the narrowest type that holds them exactly.

    Attributes
    ----------
    values : ndarray, shape (n,)
        Numbers, booleans, or objects for text.
    missing : ndarray of bool, shape (n,)
        Where there is no value.
    """

    values: NDArray[Any]
    missing: NDArray[np.bool_]

    @classmethod
    def of(cls, values: Sequence[Value]) -> "FieldColumn":
        """Return the column of Python values, `None` where one is missing."""
        if None not in values:
            return cls(_narrowest(values), np.zeros(len(values), bool))
        missing = np.array([value is None for value in values], bool)
        column = _narrowest([value for value in values if value is not None])
        full = np.zeros(len(values), column.dtype)
        full[~missing] = column
        return cls(full, missing)

    def differs(self, other: "FieldColumn") -> NDArray[np.bool_]:
        """Return where the values of two columns are not the same, row by row.

        A value differs from one that is missing; NaN is the same as NaN.
        """
        unequal = np.asarray(self.values != other.values, bool)
        if self.values.dtype.kind == other.values.dtype.kind == "f":
            unequal &= ~(np.isnan(self.values) & np.isnan(other.values))
        differing: NDArray[np.bool_] = (self.missing ^ other.missing) | (
            unequal & ~self.missing & ~other.missing
        )
        return differing

    @classmethod
    def joined(cls, parts: Sequence["FieldColumn"]) -> "FieldColumn":
        """Return columns one below the other."""
        return cls(
            np.concatenate([part.values for part in parts]),
            np.concatenate([part.missing for part in parts]),
        )

    def take(self, rows: NDArray[np.intp]) -> "FieldColumn":
        """Return some of the rows."""
        return FieldColumn(self.values[rows], self.missing[rows])

    @property
    def is_number(self) -> bool:
        """Return whether values have differences."""
        return self.values.dtype.kind in "if"

    def value(self, row: int) -> Value:
        """Return one value."""
        if self.missing[row]:
            return None
        value: Value = self.values[row : row + 1].tolist()[0]
        return value


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AlertTable:
    """Alerts by visit, detector and id: what of them is compared.

    Attributes
    ----------
    columns : mapping of str to FieldColumn
        By name of field.
    files, numbers : ndarray of int64, shape (n,)
        Place of each alert in its source.
    processed : frozenset of VisitDetector
        Exposures that were processed, as far as known.
    n_repeated : int
        Alerts that were there before, the same in all that is measured.
    """

    columns: Mapping[str, FieldColumn]
    files: NDArray[np.int64]
    numbers: NDArray[np.int64]
    processed: frozenset[VisitDetector]
    n_repeated: int

    def __len__(self) -> int:
        return len(self.files)

    def column(self, name: str) -> FieldColumn:
        """Return the values of a field; all are missing where no alert has it."""
        if name in self.columns:
            return self.columns[name]
        return FieldColumn(np.zeros(len(self), bool), np.ones(len(self), bool))

    def exposure(self, row: int) -> VisitDetector:
        """Return which exposure an alert is about."""
        return VisitDetector(
            int(self.columns[VISIT].values[row]),
            int(self.columns[DETECTOR].values[row]),
        )

    def identity(self, row: int) -> int:
        """Return the diaSourceId of an alert."""
        return int(self.columns[ID].values[row])

    def place(self, row: int) -> Place:
        """Return where an alert is."""
        return Place(int(self.files[row]), int(self.numbers[row]))


def read_table(source: AlertSource) -> AlertTable:
    """Return what is compared of all alerts of a source.

    The order of the rows does not depend on that of the source.

    Raises
    ------
    UndecodableError
        If the source can not be read, or an alert has no id or position.
    """
    reading = _Reading()
    for item in source.read():
        reading.add(item)
    return _without_repeats(reading.table())


@dataclass(slots=True, kw_only=True)
class _Reading:
    """What was read so far."""

    rows: list[dict[str, Value]] = field(default_factory=list)
    parts: list[dict[str, FieldColumn]] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    processed: set[VisitDetector] = field(default_factory=set)

    def add(self, item: Located | VisitDetector) -> None:
        """Take an alert, unless it was there before, or an exposure."""
        if isinstance(item, VisitDetector):
            self.processed.add(item)
            return
        row = flattened(item.record)
        if lacking := [name for name in _NEEDED if not _is_finite(row.get(name))]:
            raise UndecodableError(f"alert {row.get(ID)}: {lacking} have no value")
        self.rows.append(row)
        self.places.append(item.place)
        if len(self.rows) == _CHUNK:
            self.pack()

    def pack(self) -> None:
        """Turn the rows that are Python values into arrays."""
        columns = {n: FieldColumn.of(v) for n, v in _transposed(self.rows)}
        self.parts.append(columns | {"": FieldColumn.of([True] * len(self.rows))})
        self.rows.clear()

    def table(self) -> AlertTable:
        """Return everything that was read, in order."""
        self.pack()
        columns = dict(_joined(self.parts))
        order = np.zeros(0, np.intp)
        if self.places:
            order = np.lexsort([columns[name].values for name in _ORDER[::-1]])
        places = np.array(self.places, np.int64).reshape(-1, 2)[order]
        return AlertTable(
            columns={name: column.take(order) for name, column in columns.items()},
            files=places[:, 0],
            numbers=places[:, 1],
            processed=frozenset(self.processed),
            n_repeated=0,
        )


def _is_finite(value: Value) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _transposed(
    rows: Sequence[Mapping[str, Value]],
) -> Iterator[tuple[str, Sequence[Value]]]:
    """Yield the values of each name, `None` where a row has not got it."""
    names = list(rows[0]) if rows else []
    if rows and all(list(row) == names for row in rows):  # of one schema: the fast way
        values = zip(*(row.values() for row in rows), strict=True)
        yield from zip(names, values, strict=True)
        return
    for name in dict.fromkeys(name for row in rows for name in row):
        yield name, [row.get(name) for row in rows]


def _without_repeats(table: AlertTable) -> AlertTable:
    """Return a table without rows that repeat the one before.

    At-least-once delivery repeats alerts, the same but for their history.
    """
    n = len(table)
    before, after = np.arange(n)[:-1], np.arange(n)[1:]
    repeats = np.ones(max(n - 1, 0), bool)
    for name in (ID, *(f for f in table.columns if group_of(f) is Group.MEASURED)):
        if not repeats.any():
            return table
        column = table.columns[name]
        repeats &= ~column.take(before).differs(column.take(after))
    kept = np.flatnonzero(~np.concatenate([np.zeros(min(n, 1), bool), repeats]))
    return AlertTable(
        columns={name: column.take(kept) for name, column in table.columns.items()},
        files=table.files[kept],
        numbers=table.numbers[kept],
        processed=table.processed,
        n_repeated=n - len(kept),
    )


def _joined(
    parts: Sequence[Mapping[str, FieldColumn]],
) -> Iterator[tuple[str, FieldColumn]]:
    for name in sorted({name for part in parts for name in part if name}):
        blanks = (FieldColumn.of([None] * len(part[""].values)) for part in parts)
        yield (
            name,
            FieldColumn.joined(
                [part.get(name, no) for part, no in zip(parts, blanks, strict=True)]
            ),
        )


def _narrowest(values: Sequence[Value]) -> NDArray[Any]:
    """Return an array of the narrowest type that holds the values exactly."""
    kinds = set(map(type, values))
    if kinds <= {bool}:
        return np.array(values, bool)
    if kinds == {int}:
        return _narrow_integers(np.array(values, np.int64))
    if kinds <= {int, float}:
        return _narrow_floats(np.array(values, np.float64))
    shared = [sys.intern(v) if isinstance(v, str) else v for v in values]
    array = np.empty(len(shared), object)
    array[:] = shared
    return array


def _narrow_integers(values: NDArray[np.int64]) -> NDArray[Any]:
    low, high = values.min(), values.max()
    fitting = (
        t for t in _INTEGERS if np.iinfo(t).min <= low and high <= np.iinfo(t).max
    )
    return values.astype(next(fitting))


def _narrow_floats(values: NDArray[np.float64]) -> NDArray[Any]:
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32)
    return narrow if np.array_equal(narrow, values, equal_nan=True) else values
