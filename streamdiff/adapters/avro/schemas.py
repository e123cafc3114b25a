"""The Avro schemas of streamdiff, by record and version."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import fastavro.schema

import streamdiff

Schema = dict[str, Any]

# Of messages: the full name of their record, whatever id a registry gave it.
SCHEMA_HEADER = "streamdiff.schema"

# Records that are messages of their own; the place is the k of their ids.
MESSAGES = (
    "alert",
    "visitReady",
    "templateUpdate",
    "visitProcessed",
    "templateRebuilt",
)


_OWN_NAME = re.compile(r"streamdiff\.v(\d{1,4})_(\d{1,4})\.([A-Za-z]+)")


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """Version of the schemas: a minor one only adds fields with defaults."""

    major: int
    minor: int

    @classmethod
    def parse(cls, text: str) -> "Version":
        """Return the version of a text such as ``1.0``."""
        major, minor = text.strip().split(".")
        return cls(int(major), int(minor))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


# A record and its version.
Named = tuple[str, Version]


def schema_folder() -> Path:
    """Return the folder of all versions: the package's, else the repository's.

    Raises
    ------
    FileNotFoundError
        If the installation has neither.
    """
    package = Path(streamdiff.__file__).parent
    for folder in (package / "schemas", package.parent / "schemas"):
        if (folder / "latest.txt").is_file():
            return folder
    raise FileNotFoundError(f"no schemas beside {package}: reinstall streamdiff")


@cache
def latest() -> Version:
    """Return the version that new messages are written in."""
    return Version.parse((schema_folder() / "latest.txt").read_text())


def schema_file(record: str, version: Version) -> Path:
    """Return where the schema of a record is kept."""
    folder = schema_folder() / str(version.major) / str(version.minor)
    return folder / f"streamdiff.v{version.major}_{version.minor}.{record}.avsc"


def load(record: str, version: Version | None = None) -> Schema:
    """Return the parsed schema of a record, by default in the latest version.

    Raises
    ------
    LookupError
        If there is no such record or version.
    """
    return _load(record, version or latest())


@cache
def _load(record: str, version: Version) -> Schema:
    path = schema_file(record, version)
    if not path.is_file():
        raise LookupError(f"no schema {path.name} in {path.parent}")
    return cast(Schema, _ordered(fastavro.schema.load_schema(str(path))))


def _ordered(part: Any) -> Any:  # noqa: ANN401 (a part of a schema)
    """Return a part of a schema with its keys in one order.

    That in which fastavro leaves them differs from process to process, and so would
    the bytes of containers, which hold their schema.
    """
    match part:
        case dict():
            return {key: _ordered(part[key]) for key in sorted(part)}
        case list():
            return [_ordered(item) for item in part]
        case _:
            return part


def schema_id(record: str, *, offset: int = 0, version: Version | None = None) -> int:
    """Return the id of a message's schema on the wire.

    Raises
    ------
    LookupError
        If the record is no message of its own.
    """
    if record not in MESSAGES:
        raise LookupError(f"{record} is no message, those are {MESSAGES}")
    version = version or latest()
    k = MESSAGES.index(record)
    return 10_000 * k + 100 * version.major + version.minor + offset


@cache  # every message asks; errors are not kept
def identify(schema_id: int, *, offset: int = 0) -> tuple[str, Version]:
    """Return the record and the version that a schema id stands for.

    Raises
    ------
    LookupError
        If the id is none of streamdiff's, or of a version not known here.
    """
    k, version = divmod(schema_id - offset, 10_000)
    if not 0 <= k < len(MESSAGES):
        raise LookupError(f"schema id {schema_id} is none of {_known_ids(offset)}")
    record, found = MESSAGES[k], Version(*divmod(version, 100))
    if not schema_file(record, found).is_file():
        raise LookupError(
            f"schema id {schema_id} is {record} {found}, known is {latest()}: "
            "a newer streamdiff may have written it"
        )
    return record, found


def _known_ids(offset: int) -> str:
    return ", ".join(f"{schema_id(m, offset=offset)} ({m})" for m in MESSAGES)


def named_schema(headers: Iterable[tuple[str, bytes | None]]) -> Named | None:
    """Return which schema of streamdiff's a message's headers name; `None` for none.

    It says more than the id in a message, which a registry may have given.
    """
    told = (dict(headers).get(SCHEMA_HEADER) or b"").decode("utf-8", "replace")
    found = _OWN_NAME.fullmatch(told)
    return found and (found[3], Version(int(found[1]), int(found[2])))


def live_order_fields(record: str) -> frozenset[str]:
    """Return the fields that depend on what was processed before, or when.

    Fields of nested records are written with dots, such as
    ``diaSource.diaObjectId``.
    """
    return frozenset(_live_order(load(record), ""))


def _live_order(schema: Schema, prefix: str) -> Iterator[str]:
    for field in schema["fields"]:
        path = prefix + field["name"]
        if field.get("live_order"):
            yield path
        elif isinstance(field["type"], dict) and field["type"]["type"] == "record":
            yield from _live_order(field["type"], f"{path}.")
