"""Event logs: records of a stream, bit for bit, in Avro object containers."""

from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import fastavro

from streamdiff.adapters.avro.schemas import load
from streamdiff.adapters.whole_file import write_whole
from streamdiff.errors import UndecodableError
from streamdiff.ports import ConsumedRecord

SUFFIX = ".avro"
RECORD = "loggedRecord"


def log_fields(record: ConsumedRecord) -> dict[str, Any]:
    """Return the fields of a record's Avro record."""
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp_ms": record.timestamp_ms,
        "timestamp_type": record.timestamp_type,
        "key": record.key,
        "value": record.value,
        "headers": [{"name": name, "value": value} for name, value in record.headers],
    }


def logged_record(fields: dict[str, Any]) -> ConsumedRecord:
    """Return the record of the fields that `log_fields` gave."""
    headers = tuple((item["name"], item["value"]) for item in fields["headers"])
    return ConsumedRecord(**{**fields, "headers": headers})


def log_files(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Return the containers that paths name; a folder stands for those in it.

    Raises
    ------
    UndecodableError
        If there is none.
    """
    listed = list(paths)
    files = [
        file
        for path in listed
        for file in (sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path])
    ]
    if not files:
        named = ", ".join(map(str, listed)) or "no path"
        raise UndecodableError(f"{named}: there is no event log (*{SUFFIX})")
    return tuple(files)


def read_log(path: Path) -> Iterator[ConsumedRecord]:
    """Yield the records of a container, in the order in which they were written.

    Memory does not grow with its size.

    Raises
    ------
    UndecodableError
        If it is no event log, or is damaged or cut; what comes before has been
        given.
    """
    try:
        file = path.open("rb")
    except OSError as err:
        raise UndecodableError(f"{path}: can not be read: {err.strerror}") from err
    with file:
        try:
            for fields in fastavro.reader(file, load(RECORD)):
                yield logged_record(cast("dict[str, Any]", fields))
        except Exception as err:  # damaged bytes: fastavro may raise anything
            raise UndecodableError(
                f"{path} is no complete event log: {type(err).__name__}: {err}"
            ) from err


def write_log(path: Path, records: Iterable[ConsumedRecord]) -> None:
    """Write a container that appears whole, or not at all.

    Raises
    ------
    StoreUnavailableError
        If it can not be written.
    """
    buffer = BytesIO()
    fastavro.writer(buffer, load(RECORD), map(log_fields, records), codec="deflate")
    write_whole(path, buffer.getvalue())
