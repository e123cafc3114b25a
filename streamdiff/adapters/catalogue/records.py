"""What was measured of DiaSources as bytes, one row of the database each.

Thousands of rows are written and read per visit, and all are alike: each is the
numbers of its Avro schema one after another, little-endian, and a bit per number that
is missing. numpy does whole tables at once, which takes a tenth of the time of Avro.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from streamdiff.adapters.avro.schemas import Version, latest, load
from streamdiff.model import DiaSources

_DTYPES = {"long": "<i8", "int": "<i4", "float": "<f4", "double": "<f8", "boolean": "?"}
_BITS = "missing"


@dataclass(frozen=True, slots=True)
class _Layout:
    """The numbers of a version of the schema, in its order; texts are left out."""

    names: tuple[str, ...]
    dtype: np.dtype[Any]


def encoded(sources: DiaSources) -> list[bytes]:
    """Return the bytes of DiaSources, in the version `written_version`.

    Columns that the schema has not are left out.
    """
    layout = _layout(written_version())
    rows = np.zeros(len(sources), layout.dtype)
    missing = np.ones((len(sources), len(layout.names)), bool)
    for place, name in enumerate(layout.names):
        if name not in sources:
            continue
        values = sources[name]
        known = np.isfinite(values) & _fits(values, layout.dtype[name])
        rows[name] = np.where(known, values, 0).astype(layout.dtype[name])
        missing[:, place] = ~known
    rows[_BITS] = np.packbits(missing, axis=1)
    size, content = layout.dtype.itemsize, rows.tobytes()
    return [content[i : i + size] for i in range(0, len(content), size)]


def written_version() -> str:
    """Return the version of the schema that `encoded` writes in."""
    return str(latest())


def decoded(contents: Sequence[bytes], version: str) -> Iterator[dict[str, Any]]:
    """Yield the fields of DiaSources that were written in one version."""
    layout = _layout(version)
    rows = np.frombuffer(b"".join(contents), layout.dtype)
    bits = rows[_BITS].reshape(len(rows), layout.dtype[_BITS].shape[0])
    missing = np.unpackbits(bits, axis=1, count=len(layout.names)).astype(bool)
    columns = [
        _values(rows[name], missing[:, place])
        for place, name in enumerate(layout.names)
    ]
    for row in zip(*columns, strict=True):
        yield dict(zip(layout.names, row, strict=True))


def _values(column: NDArray[Any], missing: NDArray[np.bool_]) -> list[Any]:
    """Return Python values, `None` for what is missing."""
    if not missing.any():
        return cast(list[Any], column.tolist())
    values = column.astype(object)
    values[missing] = None
    return cast(list[Any], values.tolist())


def _fits(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[np.bool_]:
    """Return which numbers the type can hold."""
    if dtype.kind == "b":
        return np.ones(len(values), bool)
    limits = np.iinfo(dtype) if dtype.kind == "i" else np.finfo(dtype)
    inside: NDArray[np.bool_] = (values >= limits.min) & (values <= limits.max)
    return inside


@cache
def _layout(version: str) -> _Layout:
    fields = load("diaSource", Version.parse(version))["fields"]
    types = {f["name"]: f["type"] for f in fields}
    named = {
        name: kind[1] if isinstance(kind, list) else kind
        for name, kind in types.items()
    }
    numbers = [(n, _DTYPES[kind]) for n, kind in named.items() if kind in _DTYPES]
    n_bytes = -(-len(numbers) // 8)
    return _Layout(
        names=tuple(name for name, _ in numbers),
        dtype=np.dtype([*numbers, (_BITS, "u1", (n_bytes,))]),
    )
