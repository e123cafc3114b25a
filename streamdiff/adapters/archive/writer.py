"""One event log while it is written: in blocks, each safe on the disk."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import fastavro

from streamdiff.adapters.archive.index import Contents, Head, write_index
from streamdiff.adapters.avro.schemas import load
from streamdiff.adapters.event_log import RECORD, log_fields
from streamdiff.errors import StoreUnavailableError
from streamdiff.ports import ConsumedRecord

UNFINISHED = ".part"
_NEVER = 1 << 40  # `sync` alone ends blocks [bytes]
_OVERHEAD = 64  # of a record, besides key and value [bytes]


class LogWriter:
    """Writes an event log block by block.

    The file appears under its name with its first block, so that one that can be
    seen has a whole header and a whole block.

    Parameters
    ----------
    path : Path
    metadata : mapping of str to str
        For the header.

    Attributes
    ----------
    path : Path
    contents : Contents
        What has been appended.
    pending_bytes : int
        About how much is not on the disk yet.

    Raises
    ------
    StoreUnavailableError
        If the file can not be created.
    """

    def __init__(self, path: Path, metadata: Mapping[str, str]) -> None:
        self.path = path
        self.contents = Contents()
        self.pending_bytes = 0
        self._is_visible = False
        with self._writing():
            # its open end is the business of this class
            self._file = self._unfinished.open("wb")
            self._writer = fastavro.write.Writer(
                self._file,
                load(RECORD),
                codec="deflate",
                sync_interval=_NEVER,
                metadata=dict(metadata),
            )

    @property
    def size(self) -> int:
        """Return how large the file is, without what is pending [byte]."""
        return self._file.tell()

    def append(self, record: ConsumedRecord) -> None:
        """Add a record to the block that the next `sync` writes."""
        self._writer.write(log_fields(record))
        self.contents.add(record)
        self.pending_bytes += len(record.key or b"") + len(record.value or b"")
        self.pending_bytes += _OVERHEAD

    def sync(self) -> None:
        """Write what is pending as one block, and wait until the disk has it.

        Raises
        ------
        StoreUnavailableError
            If it can not be written. What the file has of the block then is no
            part of it.
        """
        if not self.pending_bytes:
            return
        with self._writing():
            self._writer.flush()
            os.fsync(self._file.fileno())
            if not self._is_visible:
                self._unfinished.rename(self.path)
                sync_folder(self.path.parent)
                self._is_visible = True
        self.contents.blocks += 1
        self.pending_bytes = 0

    def finish(self) -> Head:
        """Write what is pending and the index; the file is complete then.

        Raises
        ------
        StoreUnavailableError
            If it can not be written.
        """
        self.sync()
        with self._writing():
            self._file.close()
            return write_index(self.path, self.contents)

    def abandon(self) -> None:
        """Close the file as it is, after an error."""
        with suppress(OSError):  # the same error, which has been told
            self._file.close()

    @property
    def _unfinished(self) -> Path:
        return self.path.with_name(f".{self.path.name}{UNFINISHED}")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as err:
            raise StoreUnavailableError(
                f"{self.path}: can not be written: {err.strerror}"
            ) from err


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the names of the files in a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
