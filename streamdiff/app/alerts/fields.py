"""The fields of an alert by name, and which of them are compared how.

A field of a nested record is named with dots, as in ``diaSource.psfFlux``. Those of
the DiaSource may be named without, as in ``psfFlux``.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import cache
from hashlib import blake2b
from typing import Any

from streamdiff.adapters.avro.schemas import Schema, live_order_fields, load

DIA_SOURCE = "diaSource."
CUTOUTS = ("cutoutScience", "cutoutTemplate", "cutoutDifference")
# Times of processing: no two runs have the same.
VOLATILE = frozenset({"timeProcessedMjdTai", "timeWithdrawnMjdTai"})
# They hold the rank among all DiaSources of an exposure.
_RANKED = frozenset(
    {"diaSourceId", "diaSource.diaSourceId", "diaSource.parentDiaSourceId"}
)
# Whatever made an alert: in another unit it is another.
_UNITS = frozenset({"provenance.flux_unit", "provenance.photometric"})
_CHECKSUM_BYTES = 8
# Characters of a list that is kept as it is, such as that of the templates.
_SHORT = 160

_SCALARS = frozenset({bool, int, float, str, type(None)})

Value = bool | int | float | str | None


class Group(StrEnum):
    """How a field is compared.

    Attributes
    ----------
    MEASURED
        Pixels and what was measured on them: they decide whether an alert has
        changed.
    RANKED
        Ids that count the DiaSources of an exposure: they decide only where both
        sides have the same DiaSources.
    LIVE_ORDER
        What depends on what was processed before, as the schemas declare it.
    PROVENANCE
        What made the alert: another configuration is no change of the alert.
    """

    MEASURED = "measured"
    RANKED = "ranked"
    LIVE_ORDER = "live_order"
    PROVENANCE = "provenance"


@cache
def group_of(field: str) -> Group:
    """Return how a field is compared."""
    if field in _RANKED:
        return Group.RANKED
    if field.startswith("provenance.") and field not in _UNITS:
        return Group.PROVENANCE
    live = live_order_fields("alert")
    parts = field.split(".")
    if any(".".join(parts[:n]) in live for n in range(1, len(parts) + 1)):
        return Group.LIVE_ORDER
    return Group.MEASURED


def is_quantity(field: str) -> bool:
    """Return whether differences of a field mean anything, where it has numbers.

    They do not for ids, nor for the checksums of cutouts.
    """
    return field not in CUTOUTS and not field.endswith("Id")


def short_name(field: str) -> str:
    """Return the name of a field as a table shows it."""
    return field.removeprefix(DIA_SOURCE)


@cache
def schema_fields() -> tuple[str, ...]:
    """Return all fields of the latest schema, those left out excepted."""
    return tuple(_schema_fields(load("alert"), ""))


def _schema_fields(schema: Schema, prefix: str) -> Iterator[str]:
    for field in schema["fields"]:
        kinds = field["type"] if isinstance(field["type"], list) else [field["type"]]
        nested = [k for k in kinds if isinstance(k, dict) and k["type"] == "record"]
        if nested:
            yield from _schema_fields(nested[0], f"{prefix}{field['name']}.")
        elif field["name"] not in VOLATILE:
            yield prefix + field["name"]


def flattened(record: Mapping[str, Any]) -> dict[str, Value]:
    """Return the fields of an alert by name, those that are volatile left out.

    Bytes, such as cutouts, and lists are represented by a checksum of 64 bits.
    """
    fields: dict[str, Value] = {}
    _flatten(record, "", fields)
    for name in _nested_records():
        fields.pop(name, None)  # there only where the record is null
    return fields


@cache
def _nested_records() -> frozenset[str]:
    """Return the fields of an alert that are records, and so have fields themselves."""
    names = {field["name"] for field in load("alert")["fields"]}
    return frozenset(names - set(schema_fields()))


def _flatten(record: Mapping[str, Any], prefix: str, fields: dict[str, Value]) -> None:
    # Millions of values pass here: most are done after one look at their type.
    for name, value in record.items():
        if type(value) in _SCALARS:
            fields[prefix + name] = value
        elif isinstance(value, Mapping):
            _flatten(value, f"{prefix}{name}.", fields)
        elif isinstance(value, bytes):
            fields[prefix + name] = _checksum(value)
        elif isinstance(value, list):
            fields[prefix + name] = _listed(value)
        else:
            fields[prefix + name] = str(value)
    for name in VOLATILE:
        fields.pop(prefix + name, None)


def checksum_text(checksum: int) -> str:
    """Return a checksum in hexadecimal digits."""
    return checksum.to_bytes(_CHECKSUM_BYTES, "big", signed=True).hex()


def _checksum(content: bytes) -> int:
    digest = blake2b(content, digest_size=_CHECKSUM_BYTES).digest()
    return int.from_bytes(digest, "big", signed=True)


def _listed(items: list[Any]) -> str:
    """Return a text that is the same for the same list: itself, if it is short."""
    text = "; ".join(map(_text, items))
    if len(text) <= _SHORT:
        return text
    digest = blake2b(text.encode(), digest_size=_CHECKSUM_BYTES).hexdigest()
    return f"{len(items)} items, {digest}"


def _text(item: object) -> str:
    if not isinstance(item, Mapping):
        return repr(item)
    named = (f"{k} {_text(v)}" for k, v in sorted(item.items()) if k not in VOLATILE)
    return ", ".join(named)
