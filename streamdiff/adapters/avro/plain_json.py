"""Plain JSON of an Avro record: no union tags, times in ISO 8601.

Everything that the schema does not allow is refused with the path of the field, so
that a typo in a hand-written event can not pass silently.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from streamdiff.adapters.avro.schemas import Schema, load
from streamdiff.errors import UndecodableError

MAX_LISTED = 5

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_json(
    record: str, text: str | bytes, *, defaults: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the fields of a record written in JSON, defaults filled in.

    Times may be ISO 8601 with a time zone, or microseconds since 1970, UTC.

    Parameters
    ----------
    record : str
        Name of the record.
    text : str or bytes
        One JSON object.
    defaults : mapping of str to value, optional
        JSON values of fields that the text does not give.

    Raises
    ------
    UndecodableError
        If the text is no JSON, or not that of the record: unknown or repeated
        keys, missing fields, and values of another type are named.
    """
    try:
        value = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_not_a_number
        )
    except UndecodableError:
        raise
    except (ValueError, RecursionError) as err:
        raise UndecodableError(f"{record} is no JSON: {err}") from err
    if isinstance(value, dict):
        value = {**(defaults or {}), **value}
    return _record(load(record), value, record)


def _record(schema: Schema, value: object, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _refused(path, "an object", value)
    fields = {field["name"]: field for field in schema["fields"]}
    if unknown := sorted(set(value) - set(fields)):
        raise UndecodableError(
            f"{path}: unknown keys {_some(unknown)}; known are {list(fields)}"
        )
    missing = [
        name for name, f in fields.items() if name not in value and "default" not in f
    ]
    if missing:
        raise UndecodableError(f"{path}: keys {missing} are missing")
    return {
        name: _value(field["type"], value[name], f"{path}.{name}")
        if name in value
        else field["default"]
        for name, field in fields.items()
    }


def _value(schema: Any, value: object, path: str) -> object:  # noqa: ANN401 (Avro type)
    """Return a JSON value as the Python value of an Avro type."""
    if isinstance(schema, list):
        # every union of the schemas is ["null", type]
        return None if value is None else _value(schema[1], value, path)
    if isinstance(schema, str):
        return _named(schema, value, path)
    return _COMPLEX[schema.get("logicalType", schema["type"])](schema, value, path)


def _named(type_: str, value: object, path: str) -> object:
    if "." in type_:  # a record that an earlier field has defined
        return _value(load(type_.rpartition(".")[2]), value, path)
    if not _PRIMITIVES[type_](value):
        raise _refused(path, f"a value of type {type_}", value)
    return float(value) if type_ == "double" else value  # type: ignore[arg-type]


def _array(schema: Schema, value: object, path: str) -> list[object]:
    if not isinstance(value, list):
        raise _refused(path, "an array", value)
    items = schema["items"]
    return [_value(items, item, f"{path}[{i}]") for i, item in enumerate(value)]


def _map(schema: Schema, value: object, path: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise _refused(path, "an object", value)
    if unwritable := [key for key in value if not _is_text(key)]:
        raise _refused(path, "keys of Unicode text", unwritable[0])
    values = schema["values"]
    return {key: _value(values, item, f"{path}.{key}") for key, item in value.items()}


def _enum(schema: Schema, value: object, path: str) -> object:
    if value not in schema["symbols"]:
        raise _refused(path, f"one of {schema['symbols']}", value)
    return value


def _time(_schema: Schema, value: object, path: str) -> datetime:
    expected = "an ISO 8601 time with a time zone, or microseconds since 1970"
    try:
        if isinstance(value, int) and not isinstance(value, bool):
            return _EPOCH + timedelta(microseconds=value)
        time = datetime.fromisoformat(value)  # type: ignore[arg-type]
        utc = time.astimezone(UTC)
    except (TypeError, ValueError, OverflowError) as err:
        raise _refused(path, expected, value) from err
    if time.tzinfo is None:
        raise _refused(path, expected, value)
    return utc


_COMPLEX: Mapping[str, Callable[[Schema, object, str], object]] = {
    "record": _record,
    "array": _array,
    "map": _map,
    "enum": _enum,
    "timestamp-micros": _time,
}


def _is_text(value: object) -> bool:
    """Return whether a value is text; half a surrogate pair can not be written."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_integer(value: object, *, bits: int) -> bool:
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    return is_integer and -(1 << bits) <= value < 1 << bits  # type: ignore[operator]


def _is_finite(value: object) -> bool:
    try:
        return math.isfinite(value) and not isinstance(value, bool)  # type: ignore[arg-type]
    except (TypeError, OverflowError):
        return False


_PRIMITIVES: Mapping[str, Callable[[object], bool]] = {
    "string": _is_text,
    "boolean": lambda value: isinstance(value, bool),
    "int": lambda value: _is_integer(value, bits=31),
    "long": lambda value: _is_integer(value, bits=63),
    "double": _is_finite,
}


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        counts = Counter(key for key, _ in pairs)
        repeated = [key for key, count in counts.items() if count > 1]
        raise UndecodableError(f"JSON repeats the keys {_some(repeated)}")
    return values


def _some(keys: Sequence[str]) -> str:
    """Return the first keys, cut short: a message must not be as long as its cause."""
    listed = [f"{key!r:.40}" for key in keys[:MAX_LISTED]]
    return ", ".join(listed + ["..."] * (len(keys) > MAX_LISTED))


def _not_a_number(constant: str) -> NoReturn:
    raise UndecodableError(f"JSON holds {constant}: write null for a missing value")


def _refused(path: str, expected: str, value: object) -> UndecodableError:
    return UndecodableError(f"{path}: expected {expected}, got {value!r:.80}")
