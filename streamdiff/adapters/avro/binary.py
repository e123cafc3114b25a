"""Avro's binary encoding, compiled once from a schema into plain functions.

fastavro tries the branches of a union on every value: it takes 170 us for the 140
fields of a DiaSource, converted before, and an alert carries a dozen of them. This
takes a sixth, since every union here is of null and one type, and it makes missing
values null as it goes.

Avro 1.12 specification, section "Binary Encoding".
"""

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import isfinite
from typing import Any, Protocol

import numpy as np

from streamdiff.adapters.avro.schemas import Schema
from streamdiff.errors import PluginContractError

# The bytes of a value; `None` where it is missing.
Encoder = Callable[[Any], bytes | None]

FLOAT32_MAX = float(np.finfo(np.float32).max)
INT_MAX, LONG_MAX = (1 << 31) - 1, (1 << 63) - 1

_NULL, _VALUE = b"\0", b"\2"  # the branches of a union with null
_BYTE = tuple(bytes([value]) for value in range(0x80))


def varint(number: int) -> bytes:
    """Return an integer in Avro's zig-zag variable-length encoding."""
    left = (number << 1) ^ (number >> 63)
    if left < 0x80:
        return _BYTE[left]
    encoded = bytearray()
    while left > 0x7F:
        encoded.append(left & 0x7F | 0x80)
        left >>= 7
    encoded.append(left)
    return bytes(encoded)


class RecordEncoder(Protocol):
    """What encodes one kind of record."""

    def __call__(self, values: Mapping[str, Any], *, before: bytes = b"") -> bytes:
        """Return a record's bytes, after others.

        Raises
        ------
        PluginContractError
            If a field without a default has no value.
        """
        ...


def compile_encoder(schema: Schema) -> RecordEncoder:
    """Return what encodes a record: a mapping of its fields -> bytes.

    Values may be Python or numpy scalars. Fields of the mapping that the schema has
    not are left out. `None`, NaN, infinities, and numbers beyond the field's type
    are missing: null, or the field's default, where it has one.

    Parameters
    ----------
    schema : dict
        A parsed record of scalars, bytes, records, arrays and maps, whose unions
        are of null and one type, or of null alone: what is always missing.

    Raises
    ------
    ValueError
        If the schema has anything else.
    """
    compiler = _Compiler()
    name = schema["name"]
    fields = [(f["name"], compiler.field_parts(f)) for f in schema["fields"]]

    def encode(values: Mapping[str, Any], *, before: bytes = b"") -> bytes:
        get = values.get
        parts = [before]
        for key, encode_field in fields:
            parts += encode_field(get(key))
        try:
            return b"".join(parts)
        except TypeError:
            encoded = ((key, encode_field(get(key))[0]) for key, encode_field in fields)
            raise _no_value(name, values, encoded) from None

    return encode


@dataclass(frozen=True, slots=True)
class _Compiler:
    """Knows the named types that have been compiled before."""

    named: dict[str, Encoder] = field(default_factory=dict)

    def field_parts(self, field_: Schema) -> Callable[[Any], Sequence[bytes]]:
        """Return the encoder of a field that gives several parts.

        Cutouts are most of an alert: they are copied only once.
        """
        if field_["type"] == ["null", "bytes"]:
            return _some_bytes
        encode = self._field(field_)
        return lambda value: (encode(value),)  # type: ignore[return-value]

    def encoder(self, type_: Any) -> Encoder:  # noqa: ANN401 (an Avro type)
        """Return the encoder of a type."""
        match type_:
            case ["null"]:
                return lambda _: _NULL
            case ["null", inner]:
                return self._optional(inner)
            case {"type": "record"}:
                return self._record(type_)
            case {"type": "array"}:
                return _array(self.encoder(type_["items"]))
            case {"type": "map"}:
                return _map(self.encoder(type_["values"]))
        found = _SCALARS.get(_plain(type_)) or self.named.get(_plain(type_))
        if found is None:
            raise ValueError(f"a field of type {type_!r} can not be encoded")
        return found

    def _optional(self, inner: Any) -> Encoder:  # noqa: ANN401
        if isinstance(inner, str) and inner in _OPTIONAL_SCALARS:
            return _OPTIONAL_SCALARS[inner]
        encode = self.encoder(inner)

        def optional(value: Any) -> bytes:  # noqa: ANN401
            encoded = None if value is None else encode(value)
            return _NULL if encoded is None else _VALUE + encoded

        return optional

    def _record(self, schema: Schema) -> Encoder:
        # by its name first: a record may hold others of its own kind
        made: list[Encoder] = []

        def by_name(values: Any) -> bytes | None:  # noqa: ANN401
            return made[0](values)

        self.named[schema["name"]] = by_name
        fields = [(f["name"], self._field(f)) for f in schema["fields"]]
        made.append(_record(schema["name"], fields))
        return made[0]

    def _field(self, field_: Schema) -> Encoder:
        encode = self.encoder(field_["type"])
        if field_.get("default") is None:
            return encode
        default = encode(field_["default"])

        def with_default(value: Any) -> bytes | None:  # noqa: ANN401
            encoded = None if value is None else encode(value)
            return default if encoded is None else encoded

        return with_default


def _plain(type_: Any) -> str:  # noqa: ANN401
    """Return the name of a type, empty if it has none or means more."""
    if isinstance(type_, dict) and "logicalType" not in type_:
        type_ = type_["type"]
    return type_ if isinstance(type_, str) else ""


def _record(name: str, fields: Sequence[tuple[str, Encoder]]) -> Encoder:
    joined = _joined(fields)

    def encode(values: Mapping[str, Any] | None) -> bytes | None:
        if values is None:
            return None
        try:
            return joined(values.get)
        except TypeError:
            encoded = [(key, encode(values.get(key))) for key, encode in fields]
            raise _no_value(name, values, encoded) from None

    return encode


def _joined(fields: Sequence[tuple[str, Encoder]]) -> Callable[[Any], bytes]:
    """Return what joins the bytes of fields, got by their names.

    It is compiled from source that lists the fields, as those of dataclasses are:
    a loop with a call for each takes twice as long. It raises TypeError where a
    field has no value.
    """
    some_float = _OPTIONAL_SCALARS["float"]
    known: dict[str, Any] = {f"e{i}": encode for i, (_, encode) in enumerate(fields)}
    parts = [
        _INLINE_FLOAT.format(key) if encode is some_float else f"e{i}(get({key!r}))"
        for i, (key, encode) in enumerate(fields)
    ]
    source = f"lambda get: join(({' '.join(f'{part},' for part in parts)}))"
    known |= {"join": b"".join, "pack": struct.Struct("<Bf").pack, "MAX": FLOAT32_MAX}
    joined: Callable[[Any], bytes] = eval(source, known)  # noqa: S307 - our own source
    return joined


# The same as `_number` does; names of fields are quoted, whatever they are.
_INLINE_FLOAT = (
    "pack(2, v) if (v := get({!r})) is not None and -MAX <= v <= MAX else b'\\0'"
)


def _no_value(
    name: str, values: Mapping[str, Any], encoded: Iterable[tuple[str, bytes | None]]
) -> PluginContractError:
    missing = [key for key, part in encoded if part is None]
    name = name.rpartition(".")[2]
    return PluginContractError(
        f"{name[0].upper()}{name[1:]} {values.get(f'{name}Id')}: {missing} have no "
        "value, but every alert needs one"
    )


def _array(encode: Encoder) -> Encoder:
    def encode_array(items: Sequence[Any] | None) -> bytes | None:
        return None if items is None else _block([encode(item) for item in items])

    return encode_array


def _map(encode: Encoder) -> Encoder:
    def encode_map(items: Mapping[str, Any] | None) -> bytes | None:
        if items is None:
            return None
        parts = [part for k, v in items.items() for part in (_string(k), encode(v))]
        return _block(parts, n=len(items))

    return encode_map


def _block(parts: Sequence[bytes | None], n: int | None = None) -> bytes | None:
    """Return items in one block, and the empty one that ends all."""
    if not parts:
        return _NULL
    present = [part for part in parts if part is not None]
    if len(present) < len(parts):
        return None
    return b"".join((varint(len(parts) if n is None else n), *present, _NULL))


def _number(
    encode: Callable[[Any], bytes], limit: float, missing: bytes | None = None
) -> Encoder:
    def encode_number(value: Any) -> bytes | None:  # noqa: ANN401
        # NaN fails every comparison, so that it is missing too
        if value is not None and -limit <= value <= limit:
            return encode(value)
        return missing

    return encode_number


def _double(encode: Callable[[Any], bytes], missing: bytes | None = None) -> Encoder:
    # not by a limit: numpy would warn of one that a float32 can not hold
    def encode_double(value: Any) -> bytes | None:  # noqa: ANN401
        return encode(value) if value is not None and isfinite(value) else missing

    return encode_double


class _Booleans(dict[Any, bytes | None]):
    """The bytes of booleans, numpy's too, and of numbers, which are true but for 0.

    To look them up takes a third of what a function would.
    """

    def __init__(self, *, true: bytes, false: bytes, missing: bytes | None) -> None:
        super().__init__({True: true, False: false, None: missing})

    def __missing__(self, number: float) -> bytes | None:
        return self[True if isfinite(number) else None]


def _boolean(true: bytes, false: bytes, missing: bytes | None = None) -> Encoder:
    return _Booleans(true=true, false=false, missing=missing).__getitem__


def _integer(value: Any) -> bytes:  # noqa: ANN401
    return varint(int(value))


def _some_integer(value: Any) -> bytes:  # noqa: ANN401
    return _VALUE + varint(int(value))


def _string(value: object) -> bytes:
    encoded = str(value).encode()
    return varint(len(encoded)) + encoded


def _required_string(value: object) -> bytes | None:
    return None if value is None else _string(value)


def _some_string(value: object) -> bytes:
    return _NULL if value is None else _VALUE + _string(value)


def _some_bytes(value: bytes | None) -> Sequence[bytes]:
    return (_NULL,) if value is None else (_VALUE + varint(len(value)), value)


def _bytes(value: bytes | None) -> bytes | None:
    return None if value is None else varint(len(value)) + value


_SCALARS: Mapping[str, Encoder] = {
    "float": _number(struct.Struct("<f").pack, FLOAT32_MAX),
    "double": _double(struct.Struct("<d").pack),
    "int": _number(_integer, INT_MAX),
    "long": _number(_integer, LONG_MAX),
    "boolean": _boolean(b"\1", b"\0"),
    "string": _required_string,
    "bytes": _bytes,
}
# The branch of the union and the value in one step: most fields of an alert are such.
_OPTIONAL_SCALARS: Mapping[str, Encoder] = {
    "float": _number(partial(struct.Struct("<Bf").pack, 2), FLOAT32_MAX, _NULL),
    "double": _double(partial(struct.Struct("<Bd").pack, 2), _NULL),
    "int": _number(_some_integer, INT_MAX, _NULL),
    "long": _number(_some_integer, LONG_MAX, _NULL),
    "boolean": _boolean(b"\2\1", b"\2\0", _NULL),
    "string": _some_string,
}
