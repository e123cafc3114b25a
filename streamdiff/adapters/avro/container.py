"""Avro object containers: alerts with their schema, in a file or in a message."""

import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import fastavro

from streamdiff.adapters.avro.binary import varint
from streamdiff.adapters.avro.schemas import Schema, load
from streamdiff.adapters.whole_file import write_whole
from streamdiff.errors import UndecodableError

Record = Mapping[str, Any]

_MARK_SIZE = 16


def write_alerts(path: Path, records: Iterable[Record]) -> None:
    """Write the alerts of one visit: the file appears complete, or not at all.

    Parameters
    ----------
    path : Path
        Replaced if it exists.
    records : iterable of mapping
        Records of `streamdiff.adapters.avro.alert.alert_record`. The same
        records give the same bytes.

    Raises
    ------
    StoreUnavailableError
        If it can not be written.
    """
    write_whole(path, container_bytes(records))


def read_alerts(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a container, in the schema that it was written with.

    Raises
    ------
    UndecodableError
        If the file is no container, or damaged.
    """
    with path.open("rb") as f:
        try:
            yield from _read(f)
        except Exception as err:  # damaged bytes: fastavro may raise anything
            raise UndecodableError(
                f"{path} is no complete Avro container: {type(err).__name__}: {err}"
            ) from err


def container_bytes(records: Iterable[Record], *, codec: str = "deflate") -> bytes:
    """Return a container of alerts as one message."""
    buffer, listed = BytesIO(), list(records)
    fastavro.writer(
        buffer,
        load("alert"),
        listed,
        codec=codec,
        sync_marker=_sync_marker(listed),
        strict_allow_default=True,
    )
    return buffer.getvalue()


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerFrame:
    """What stands around a record in a container of its own.

    Attributes
    ----------
    preamble : bytes
        The beginning of the container, with the schema: it takes longer to write
        than the record.
    codec : str
        ``null`` or ``deflate``.
    """

    preamble: bytes
    codec: str

    @classmethod
    def of(cls, schema: Schema, *, codec: str) -> "ContainerFrame":
        """Return the frame of a record's schema."""
        buffer, mark = BytesIO(), bytes(_MARK_SIZE)
        fastavro.writer(buffer, schema, [], codec=codec, sync_marker=mark)
        return cls(preamble=buffer.getvalue().removesuffix(mark), codec=codec)

    def around(self, body: bytes, name: str) -> bytes:
        """Return the container of a record, as `fastavro.writer` would write it.

        Parameters
        ----------
        body : bytes
            The record in binary encoding.
        name : str
            What no other record is called.
        """
        if self.codec == "deflate":
            stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
            body = stream.compress(body) + stream.flush()
        mark = _mark(name)
        return b"".join((self.preamble, mark, varint(1), varint(len(body)), body, mark))


def _sync_marker(records: list[Record]) -> bytes:
    """Return the mark between blocks: unlikely in data, yet the same when repeated."""
    return _mark(",".join(str(record["diaSourceId"]) for record in records))


def _mark(name: str) -> bytes:
    return blake2b(name.encode(), digest_size=_MARK_SIZE).digest()


def _read(file: IO[bytes]) -> Iterator[dict[str, Any]]:
    for record in fastavro.reader(file):
        if not isinstance(record, dict):
            raise TypeError(f"holds {type(record).__name__}, not records")
        yield record
