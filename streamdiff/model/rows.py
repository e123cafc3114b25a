"""Tables whose columns are attributes: arrays of one length, read-only."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamdiff.model.planes import read_only

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Texts = NDArray[np.str_]
Flags = NDArray[np.bool_]


# What the columns of a table are, by their annotations.
_DTYPES: Mapping[Any, str] = MappingProxyType({Ints: "i8", Floats: "f8", Texts: "U"})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """A table: every attribute is a read-only array of shape (n,).

    Raises
    ------
    ValueError
        If lengths differ.
    """

    def __post_init__(self) -> None:
        for name, dtype in self.dtypes().items():
            array = np.asarray(getattr(self, name)).astype(dtype)
            object.__setattr__(self, name, read_only(array))
        shapes = {name: values.shape for name, values in self.columns().items()}
        if len(set(shapes.values())) != 1 or any(len(s) != 1 for s in shapes.values()):
            raise ValueError(f"columns must be of one length, got {shapes}")

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names of the columns, in their order."""
        return tuple(one.name for one in fields(cls))

    @classmethod
    def dtypes(cls) -> dict[str, str]:
        """Return the numpy types of the columns, by name."""
        return {one.name: _DTYPES[one.type] for one in fields(cls)}

    @classmethod
    def of(cls, values: Mapping[str, ArrayLike]) -> Self:
        """Return the table with some columns; more columns are left out."""
        return cls(**{name: values[name] for name in cls.names()})

    @classmethod
    def of_tuples(cls, rows: Sequence[Sequence[Any]]) -> Self:
        """Return the table of rows, in the order of the columns; `None` is NaN."""
        listed = list(zip(*rows, strict=True)) or [()] * len(cls.names())
        return cls(**dict(zip(cls.names(), listed, strict=True)))

    @classmethod
    def empty(cls) -> Self:
        """Return the table without rows."""
        return cls.of_tuples([])

    @classmethod
    def joined(cls, parts: Iterable[Self]) -> Self:
        """Return the rows of several tables, one after another."""
        tables = list(parts) or [cls.empty()]
        return cls(
            **{
                name: np.concatenate([getattr(table, name) for table in tables])
                for name in cls.names()
            }
        )

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))

    def columns(self) -> dict[str, NDArray[Any]]:
        """Return the columns by name."""
        return {name: getattr(self, name) for name in self.names()}

    def take(self, rows: NDArray[Any] | slice) -> Self:
        """Return some rows, by numbers or by flags."""
        return type(self)(**{name: v[rows] for name, v in self.columns().items()})


def turns(group: Ints) -> Iterator[Ints]:
    """Yield the first rows of all groups, then the second ones, and so on."""
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    turn = np.arange(len(group)) - np.repeat(starts, np.diff([*starts, len(group)]))
    by_turn = order[np.argsort(turn, kind="stable")]
    yield from (
        np.split(by_turn, np.cumsum(np.bincount(turn))[:-1]) if len(group) else []
    )
