"""Messages on the wire: the five bytes of Confluent, then one Avro record.

The header is a zero byte and the id of the schema, a big-endian int32; the record
follows in Avro's binary encoding, without its schema.
"""

import struct
from collections.abc import Mapping
from io import BytesIO
from typing import Any, cast

import fastavro

from streamdiff.adapters.avro.schemas import (
    Version,
    identify,
    latest,
    load,
    schema_id,
)
from streamdiff.errors import UndecodableError

_HEADER = struct.Struct(">bi")


def header(schema_id: int) -> bytes:
    """Return the five bytes before the record that name its schema."""
    return _HEADER.pack(0, schema_id)


def encode(
    record: str,
    values: Mapping[str, Any],
    *,
    id_offset: int = 0,
    registered: int | None = None,
) -> bytes:
    """Return the message of a record in the latest version of its schema.

    Parameters
    ----------
    record : str
        Name of the record, such as ``visitReady``.
    values : mapping of str to value
        Its fields. Fields with a default may be missing.
    id_offset : int
        Added to every schema id, so that ids do not clash with a registry's.
    registered : int, optional
        The id that a registry has given to the schema.
    """
    buffer = BytesIO()
    own = schema_id(record, offset=id_offset)
    buffer.write(header(own if registered is None else registered))
    fastavro.schemaless_writer(buffer, load(record), values, strict_allow_default=True)
    return buffer.getvalue()


def decode(
    message: bytes, *, id_offset: int = 0, record: tuple[str, Version] | None = None
) -> tuple[str, dict[str, Any]]:
    """Return the name of the record that a message holds, and its fields.

    A message of an older minor version is read with the defaults of the latest.

    Parameters
    ----------
    message : bytes
    id_offset : int
        Added to every schema id.
    record : tuple of str and Version, optional
        What the message holds, whatever its id says.

    Raises
    ------
    UndecodableError
        If the message is no such record, or is followed by other bytes.
    """
    if len(message) < _HEADER.size:
        raise UndecodableError(
            f"message of {len(message)} bytes: expected a header of {_HEADER.size}"
        )
    magic, found_id = _HEADER.unpack_from(message)
    if magic != 0:
        raise UndecodableError(
            f"message starts with byte {message[0]:#04x}: expected 0x00 of the "
            "Confluent wire format (JSON needs the header content-type: "
            "application/json)"
        )
    try:
        name, version = record or identify(found_id, offset=id_offset)
        schema = load(name, version)
    except LookupError as err:
        raise UndecodableError(err.args[0]) from err
    reader_schema = load(name) if version.major == latest().major else None
    body = BytesIO(message[_HEADER.size :])
    try:
        values = fastavro.schemaless_reader(body, schema, reader_schema)
    except Exception as err:  # hostile bytes: fastavro may raise anything
        raise UndecodableError(
            f"message of {len(message)} bytes is no {name} {version}: "
            f"{type(err).__name__}: {err!s:.200}"
        ) from err
    if trailing := len(body.getbuffer()) - body.tell():
        raise UndecodableError(f"{trailing} bytes follow the {name} {version}")
    return name, cast(dict[str, Any], values)
