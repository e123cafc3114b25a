"""Whether two values are the same: bit for bit, or but for rounding."""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from enum import Enum
from hashlib import blake2b
from typing import Any

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

# Of numbers in single precision, after some steps.
_ROUNDING = 1e-5


def fingerprint(value: object) -> str:
    """Return the digest of all that a value is made of, arrays bit for bit."""
    digest = blake2b(digest_size=16)
    for part in _parts(value):
        digest.update(part)
    return digest.hexdigest()


def agree(one: Any, other: Any) -> bool:  # noqa: ANN401 (any result)
    """Return whether two values are the same but for rounding."""
    if type(one) is not type(other):
        return False
    match one:
        case np.ndarray() | np.generic() | float() if np.asarray(one).dtype.kind == "f":
            return _close(np.asarray(one), np.asarray(other))
        case Mapping():
            return one.keys() == other.keys() and all(
                agree(one[key], other[key]) for key in one
            )
        case list() | tuple():
            return len(one) == len(other) and all(map(agree, one, other))
        case _ if is_dataclass(one) and not isinstance(one, type):
            return all(
                agree(getattr(one, field.name), getattr(other, field.name))
                for field in fields(one)
            )
    return fingerprint(one) == fingerprint(other)


def _close(one: NDArray[Any], other: NDArray[Any]) -> bool:
    largest = float(np.abs(one[np.isfinite(one)]).max(initial=0.0))
    limits = {"rtol": _ROUNDING, "atol": _ROUNDING * largest}
    return one.shape == other.shape and np.allclose(
        one, other, **limits, equal_nan=True
    )


def _parts(value: object) -> Iterator[bytes]:
    """Yield what a value is made of, each part with its type."""
    yield type(value).__qualname__.encode()
    match value:
        case np.ndarray():
            yield from _of_array(value)
        case WCS():
            yield str(value.to_header(relax=True)).encode()
        case bytes():
            yield value
        case str() | int() | float() | Enum() | np.generic():
            yield repr(value).encode()
        case BaseException():
            yield str(value).encode()
        case Mapping() | AbstractSet() | list() | tuple():
            yield from _of_container(value)
        case _ if is_dataclass(value) and not isinstance(value, type):
            for field in fields(value):
                yield field.name.encode()
                yield from _parts(getattr(value, field.name))
        case _:
            state = getattr(value, "__dict__", None)
            yield from _parts(state) if state else iter([repr(value).encode()])


def _of_array(array: NDArray[Any]) -> Iterator[bytes]:
    if array.dtype.hasobject:
        yield from _parts(array.tolist())
        return
    yield f"{array.dtype.str}{array.shape}".encode()
    yield np.ascontiguousarray(array).tobytes()


def _of_container(value: object) -> Iterator[bytes]:
    match value:
        case Mapping():
            for key in sorted(value, key=repr):
                yield from _parts(key)
                yield from _parts(value[key])
        case AbstractSet():
            yield from (text.encode() for text in sorted(map(fingerprint, value)))
        case list() | tuple():
            yield str(len(value)).encode()
            for item in value:
                yield from _parts(item)
