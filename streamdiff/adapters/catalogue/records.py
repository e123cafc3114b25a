"""What was measured of a DiaSource as bytes: Avro, in the schema of the alerts."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any, cast

import fastavro

from streamdiff.adapters.avro.alert import dia_source_record
from streamdiff.adapters.avro.schemas import Version, latest, load

_RECORD = "diaSource"


def encoded(records: Sequence[Mapping[str, Any]]) -> list[bytes]:
    """Return the bytes of DiaSources, in the version `written_version`."""
    schema, buffer = load(_RECORD), BytesIO()
    content = []
    for values in records:
        buffer.seek(0)
        buffer.truncate()
        fastavro.schemaless_writer(buffer, schema, dia_source_record(values))
        content.append(buffer.getvalue())
    return content


def written_version() -> str:
    """Return the version of the schema that `encoded` writes in."""
    return str(latest())


def decoded(content: bytes, version: str) -> dict[str, Any]:
    """Return the fields of a DiaSource, those of the latest schema."""
    written = load(_RECORD, Version.parse(version))
    reader = load(_RECORD)
    found = fastavro.schemaless_reader(
        BytesIO(content), written, None if reader is written else reader
    )
    return cast(dict[str, Any], found)
