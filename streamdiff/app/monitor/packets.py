"""Alerts as they are kept: encoded, under a schema that many of them share."""

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any, cast

import fastavro

from streamdiff.adapters.avro.container import ContainerFrame
from streamdiff.adapters.avro.schemas import Schema

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Packet:
    """An alert in Avro's binary encoding, a tenth of the size that it has decoded.

    Attributes
    ----------
    schema : Schema
        Of the survey that wrote it, parsed.
    body : bytes
    """

    schema: Schema
    body: bytes

    @classmethod
    def of(cls, record: Record, schema: Schema) -> "Packet":
        """Return the packet of a record."""
        buffer = BytesIO()
        fastavro.schemaless_writer(buffer, schema, record)
        return cls(schema, buffer.getvalue())

    def record(self) -> Record:
        """Return the fields of the alert."""
        body = BytesIO(self.body)
        return cast(Record, fastavro.schemaless_reader(body, self.schema, None))

    def container(self, name: str) -> bytes:
        """Return a file that any reader of Avro understands."""
        frame = ContainerFrame.of(self.schema, codec="deflate")
        return frame.around(self.body, name)
