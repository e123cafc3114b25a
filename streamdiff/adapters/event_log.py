"""Event logs: records of a stream, bit for bit, in Avro object containers."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, cast

import fastavro

from streamdiff.adapters.avro.schemas import load
from streamdiff.adapters.whole_file import write_whole
from streamdiff.errors import CutLogError, UndecodableError
from streamdiff.ports import ConsumedRecord

SUFFIX = ".avro"
RECORD = "loggedRecord"
MARK_SIZE = 16  # of the mark that ends the header and each block
_CHUNK = 1 << 20


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


@dataclass(frozen=True, slots=True, kw_only=True)
class LogBlock:
    """The records that were written, and can be read, together.

    Attributes
    ----------
    records : tuple of ConsumedRecord
    end : int
        Where the block ends in its file [byte].
    """

    records: tuple[ConsumedRecord, ...]
    end: int


def read_log(path: Path, *, allow_cut: bool = False) -> Iterator[ConsumedRecord]:
    """Yield the records of a container, in the order in which they were written.

    Memory does not grow with its size.

    Parameters
    ----------
    path : Path
    allow_cut : bool
        Whether a file that ends inside a block ends with its last whole one, as
        that of a recorder that is at work, or was killed, may do.

    Raises
    ------
    CutLogError
        If it ends inside a block; what comes before has been given.
    UndecodableError
        If it is no event log, or is damaged; what comes before has been given.
    """
    try:
        for block in read_blocks(path):
            yield from block.records
    except CutLogError:
        if not allow_cut:
            raise


def read_blocks(path: Path) -> Iterator[LogBlock]:
    """Yield the blocks of a container; see `read_log`."""
    with _opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            blocks = fastavro.block_reader(file, load(RECORD))
        except Exception as err:  # any bytes: fastavro may raise anything
            raise _incomplete(path, err) from err
        start = end = file.tell()
        while True:
            try:
                block = next(blocks, None)
                records = tuple(map(logged_record, cast("Any", block or ())))
            except Exception as err:  # damaged bytes, the same
                raise _broken(path, file, start, end, err) from err
            if block is None:
                break
            end = block.offset + block.size
            yield LogBlock(records=records, end=end)
        if end < size:
            raise CutLogError(f"{path} ends inside a block", end=end)


def log_metadata(path: Path) -> dict[str, str]:
    """Return what the header of a container says of it.

    Raises
    ------
    UndecodableError
        If it is no event log.
    """
    with _opened(path) as file:
        try:
            return dict(fastavro.block_reader(file, load(RECORD)).metadata)
        except Exception as err:  # any bytes: fastavro may raise anything
            raise _incomplete(path, err) from err


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as err:
        raise UndecodableError(f"{path}: can not be read: {err.strerror}") from err


def _incomplete(path: Path, err: Exception) -> UndecodableError:
    return UndecodableError(
        f"{path} is no complete event log: {type(err).__name__}: {err}"
    )


def _broken(
    path: Path, file: BinaryIO, start: int, end: int, err: Exception
) -> UndecodableError:
    """Return the error of a file whose block at ``end`` can not be read.

    A block that was being written lacks its mark, and nothing follows it; where
    there is one, the block was whole once.
    """
    file.seek(start - MARK_SIZE)
    mark = file.read(MARK_SIZE)
    file.seek(end)
    carried = b""
    while chunk := file.read(_CHUNK):
        if mark in carried + chunk:
            return _incomplete(path, err)
        carried = (carried + chunk)[1 - MARK_SIZE :]
    return CutLogError(str(_incomplete(path, err)), end=end)


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
