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
_NEEDED = (VISIT, DETECTOR, RA, DEC, ID)
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
        missing = np.array([value is None for value in values], bool)
        present = [value for value in values if value is not None]
        column = _narrowest(present)
        full = np.zeros(len(values), column.dtype)
        full[~missing] = column
        return cls(full, missing)

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
    return reading.table()


@dataclass(slots=True, kw_only=True)
class _Reading:
    """What was read so far."""

    seen: set[tuple[Value, int]] = field(default_factory=set)
    rows: list[dict[str, Value]] = field(default_factory=list)
    parts: list[dict[str, FieldColumn]] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    processed: set[VisitDetector] = field(default_factory=set)
    n_repeated: int = 0

    def add(self, item: Located | VisitDetector) -> None:
        """Take an alert, unless it was there before, or an exposure."""
        if isinstance(item, VisitDetector):
            self.processed.add(item)
            return
        row = flattened(item.record)
        if lacking := [name for name in _NEEDED if not _is_finite(row.get(name))]:
            raise UndecodableError(f"alert {row.get(ID)}: {lacking} have no value")
        # At-least-once delivery repeats alerts, the same but for their history.
        key = row[ID], hash(frozenset(_measured(row)))
        if key in self.seen:
            self.n_repeated += 1
            return
        self.seen.add(key)
        self.rows.append(row)
        self.places.append(item.place)
        if len(self.rows) == _CHUNK:
            self.pack()

    def pack(self) -> None:
        """Turn the rows that are Python values into arrays."""
        names = dict.fromkeys(name for row in self.rows for name in row)
        self.parts.append(
            {n: FieldColumn.of([row.get(n) for row in self.rows]) for n in names}
            | {"": FieldColumn.of([True] * len(self.rows))}
        )
        self.rows.clear()

    def table(self) -> AlertTable:
        """Return everything that was read, in order."""
        self.pack()
        columns = dict(_joined(self.parts))
        ranks = [columns[n].values for n in (DEC, RA, ID, DETECTOR, VISIT) if self.seen]
        order = np.lexsort(ranks) if self.seen else np.zeros(0, np.intp)
        places = np.array(self.places, np.int64).reshape(-1, 2)[order]
        return AlertTable(
            columns={name: column.take(order) for name, column in columns.items()},
            files=places[:, 0],
            numbers=places[:, 1],
            processed=frozenset(self.processed),
            n_repeated=self.n_repeated,
        )


def _is_finite(value: Value) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _measured(row: Mapping[str, Value]) -> Iterator[tuple[str, Value]]:
    return (item for item in row.items() if group_of(item[0]) is Group.MEASURED)


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
    kinds = {type(value) for value in values}
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
