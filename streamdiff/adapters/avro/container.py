"""Avro object containers: alerts with their schema, in a file or in a message."""

from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import fastavro

from streamdiff.adapters.avro.schemas import load
from streamdiff.adapters.whole_file import write_whole
from streamdiff.errors import UndecodableError

Record = Mapping[str, Any]


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


def _sync_marker(records: list[Record]) -> bytes:
    """Return the mark between blocks: unlikely in data, yet the same when repeated."""
    ids = ",".join(str(record["diaSourceId"]) for record in records)
    return blake2b(ids.encode(), digest_size=16).digest()


def _read(file: IO[bytes]) -> Iterator[dict[str, Any]]:
    for record in fastavro.reader(file):
        if not isinstance(record, dict):
            raise TypeError(f"holds {type(record).__name__}, not records")
        yield record
