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


def fingerprint(value: object) -> str:
    """Return the digest of all that a value is made of, arrays bit for bit."""
    digest = blake2b(digest_size=16)
    for part in _parts(value):
        digest.update(part)
    return digest.hexdigest()


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
