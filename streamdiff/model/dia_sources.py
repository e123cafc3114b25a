"""The table of what changed on one difference image."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamdiff.model.planes import read_only


@dataclass(frozen=True, slots=True)
class Column:
    """A measured quantity: the name that it has in files and alerts alike.

    Attributes
    ----------
    name : str
        LSST's name where the quantity is the same.
    dtype : str
        A numpy type, such as ``f4``.
    unit : str
        Unit as FITS writes it; empty for none.
    doc : str
        What it is, in one sentence.
    """

    name: str
    dtype: str
    unit: str
    doc: str


# What a source finder gives; measurers add the rest.
DETECTION_COLUMNS = (
    Column("x", "f8", "pix", "Column of the peak; 0 is the centre of the first"),
    Column("y", "f8", "pix", "Row of the peak; 0 is the centre of the first"),
    Column("snr", "f4", "", "Significance at the peak; positive for both polarities"),
    Column("isNegative", "?", "", "Whether the science image is fainter"),
    Column("bboxSize", "i4", "pix", "Longer side of the footprint's bounding box"),
    Column("footprintArea", "i4", "pix", "Number of pixels of the footprint"),
)


@dataclass(frozen=True, slots=True, eq=False)
class DiaSources:
    """DiaSources of one difference image, column by column.

    Attributes
    ----------
    columns : tuple of Column
        Their order is the order of the table.
    values : mapping of str to ndarray, shape (n,)
        One read-only array per column. A missing value of a floating-point
        column is NaN.

    Raises
    ------
    ValueError
        If names repeat, a column has no values or the reverse, or lengths
        differ.
    """

    columns: tuple[Column, ...]
    values: Mapping[str, NDArray[Any]]

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        if len(set(names)) != len(names) or set(names) != set(self.values):
            raise ValueError(
                f"columns {names} do not fit the values {sorted(self.values)}"
            )
        values = {
            c.name: read_only(np.asarray(self.values[c.name]).astype(c.dtype))
            for c in self.columns
        }
        if len({v.shape for v in values.values()}) > 1 or any(
            v.ndim != 1 for v in values.values()
        ):
            shapes = {name: v.shape for name, v in values.items()}
            raise ValueError(f"columns must be of one length, got {shapes}")
        object.__setattr__(self, "values", values)

    @classmethod
    def empty(cls, columns: Iterable[Column] = DETECTION_COLUMNS) -> "DiaSources":
        """Return a table without rows."""
        columns = tuple(columns)
        return cls(columns, {c.name: np.zeros(0, c.dtype) for c in columns})

    def __len__(self) -> int:
        return len(next(iter(self.values.values()))) if self.columns else 0

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.values[name]

    def __contains__(self, name: object) -> bool:
        return name in self.values

    def with_columns(
        self, columns: Iterable[Column], values: Mapping[str, ArrayLike]
    ) -> "DiaSources":
        """Return the table with columns added, or replaced where names are equal."""
        added = tuple(columns)
        names = {c.name for c in added}
        kept = tuple(c for c in self.columns if c.name not in names)
        merged = {c.name: self.values[c.name] for c in kept}
        merged.update({name: np.asarray(v) for name, v in values.items()})
        return DiaSources(kept + added, merged)

    def take(self, rows: ArrayLike) -> "DiaSources":
        """Return the rows that an index or boolean array names."""
        rows = np.asarray(rows)
        return DiaSources(self.columns, {n: v[rows] for n, v in self.values.items()})

    def joined(self, other: "DiaSources") -> "DiaSources":
        """Return the rows of this table, and then those of another.

        Raises
        ------
        KeyError
            If the other one lacks a column of this one.
        """
        values = {
            name: np.concatenate([column, other[name]])
            for name, column in self.values.items()
        }
        return DiaSources(self.columns, values)

    def row(self, index: int) -> dict[str, Any]:
        """Return one row as Python values."""
        return {name: self.values[name][index].item() for name in self.values}
