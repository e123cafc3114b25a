"""The folder of an archive: one writer, logs in sequence, whole after a crash."""

import fcntl
import os
import re
import uuid
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from streamdiff import __version__
from streamdiff.adapters.archive.index import (
    Contents,
    Head,
    Span,
    fingerprint,
    index_file,
    read_head,
    write_index,
)
from streamdiff.adapters.archive.writer import UNFINISHED, LogWriter, sync_folder
from streamdiff.adapters.event_log import SUFFIX, read_blocks
from streamdiff.errors import (
    CutLogError,
    StoreUnavailableError,
    StreamError,
    UndecodableError,
)
from streamdiff.ports import Clock, ConsumedRecord, TopicPartition

log = structlog.get_logger(__name__)

RECORDING = "streamdiff.log.recording"  # in headers: which run of a recorder
SOFTWARE = "streamdiff.log.software"
LOCK = ".lock"
_NAME = re.compile(r"\d{6}" + re.escape(SUFFIX))
_MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RollLimits:
    """When a log is finished and the next one begun.

    Attributes
    ----------
    size_mib : float
    age_s : float
        Since its first record.
    subjects : int
        Entries of its index, which is held until the log is finished.
    block_bytes : int
        Records are written to the disk in blocks of about this size.
    block_age_s : float
        And at the latest after this time.
    """

    size_mib: float = 256
    age_s: float = 3600
    subjects: int = 50_000
    block_bytes: int = _MIB
    block_age_s: float = 1.0


class Archive:
    """Takes the records of topics, each once, while in its context.

    What is in its files decides what it has. On entering it repairs what a crash
    has left: the last log is cut behind its last whole block, and gets its index.

    Parameters
    ----------
    folder : Path
        Made if need be.
    limits : RollLimits
    clock : Clock

    Attributes
    ----------
    records, logs : int
        How many have been taken, and finished, since it was entered.

    Raises
    ------
    StreamError
        On entering, if another process writes to the folder, or a log in it is
        damaged before its end.
    StoreUnavailableError
        If the folder can not be written to.
    """

    def __init__(self, folder: Path, *, limits: RollLimits, clock: Clock) -> None:
        self.records = 0
        self.logs = 0
        self._folder = folder
        self._limits = limits
        self._clock = clock
        self._metadata = {RECORDING: uuid.uuid4().hex, SOFTWARE: __version__}
        self._exit = ExitStack()
        self._writer: LogWriter | None = None
        self._log_began_s = self._block_began_s = 0.0
        self._number = 0
        self._ends: dict[TopicPartition, int] = {}
        self._fresh: set[TopicPartition] = set()
        # offset and fingerprint of the first and the last record that was there
        self._first: dict[TopicPartition, tuple[int, str]] = {}
        self._last: dict[TopicPartition, tuple[int, str]] = {}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                _lock(self._folder, stack)
                self._look_around()
            except OSError as err:
                raise StoreUnavailableError(
                    f"{self._folder}: can not be written: {err}"
                ) from err
            self._exit = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._exit:
            if self._writer is not None:
                self._finish(self._writer)

    def ends(self) -> Mapping[TopicPartition, int]:
        """Return the offset behind the last record of each partition."""
        return self._ends

    def take(self, record: ConsumedRecord) -> bool:
        """Add a record; False if it is in the archive already.

        Raises
        ------
        StreamError
            If it is another one than the record of that offset in the archive.
        StoreUnavailableError
            If a new log can not be begun.
        """
        partition = record.topic_partition
        if record.offset < self._ends.get(partition, 0):
            self._compare(record)
            return False
        writer = self._writer or self._begin()
        if not writer.pending_bytes:
            self._block_began_s = self._clock.monotonic()
        writer.append(record)
        self._ends[partition] = record.offset + 1
        self._fresh.add(partition)
        self.records += 1
        return True

    @property
    def is_due(self) -> bool:
        """Return whether what has been taken should go to the disk now."""
        if self._writer is None or not self._writer.pending_bytes:
            return False
        age_s = self._clock.monotonic() - self._block_began_s
        return (
            self._writer.pending_bytes >= self._limits.block_bytes
            or age_s >= self._limits.block_age_s
        )

    def sync(self) -> Mapping[TopicPartition, int]:
        """Bring all that has been taken to the disk, and return the ends of it.

        A log that is large or old enough is finished.

        Returns
        -------
        mapping of TopicPartition to int
            The partitions that have grown, with the offset behind their last record.

        Raises
        ------
        StoreUnavailableError
            If it can not be written.
        """
        if self._writer is not None:
            try:
                self._writer.sync()
            except StoreUnavailableError:
                self._give_up(self._writer)
                raise
            if self._is_full(self._writer):
                self._finish(self._writer)
        grown = {partition: self._ends[partition] for partition in self._fresh}
        self._fresh.clear()
        return grown

    def _begin(self) -> LogWriter:
        self._number += 1
        path = self._folder / f"{self._number:06d}{SUFFIX}"
        self._writer = LogWriter(path, self._metadata)
        self._log_began_s = self._clock.monotonic()
        log.info("archive_log_begun", file=str(path))
        return self._writer

    def _is_full(self, writer: LogWriter) -> bool:
        return (
            writer.size >= self._limits.size_mib * _MIB
            or writer.contents.n_subjects >= self._limits.subjects
            or self._clock.monotonic() - self._log_began_s >= self._limits.age_s
        )

    def _finish(self, writer: LogWriter) -> None:
        try:
            head = writer.finish()
        except StoreUnavailableError:
            self._give_up(writer)
            raise
        self._writer = None
        self.logs += 1
        log.info(
            "archive_log_finished",
            file=str(writer.path),
            records=head.records,
            size=head.size,
        )

    def _give_up(self, writer: LogWriter) -> None:
        """Forget what may not be on the disk; the next start finds out."""
        writer.abandon()
        self._writer = None
        self._fresh.clear()

    def _compare(self, record: ConsumedRecord) -> None:
        partition = record.topic_partition
        known = dict(p[partition] for p in (self._first, self._last) if partition in p)
        if known.get(record.offset, found := fingerprint(record)) != found:
            raise StreamError(
                f"{record.topic}[{record.partition}] has another record at offset "
                f"{record.offset} than {self._folder}: the topic was made anew. "
                "Record it into another folder"
            )

    def _look_around(self) -> None:
        """Repair what a crash has left, and learn what there is."""
        for path in self._folder.glob(f".*{UNFINISHED}"):
            path.unlink()
        for path in sorted(self._folder.iterdir()):
            if _NAME.fullmatch(path.name):
                self._number = int(path.stem)
                self._learn(_head(path).spans)

    def _learn(self, spans: Iterable[Span]) -> None:
        for span in spans:
            partition = TopicPartition(span.topic, span.partition)
            self._first.setdefault(partition, (span.first_offset, span.first_print))
            self._last[partition] = (span.last_offset, span.last_print)
            self._ends[partition] = span.last_offset + 1


def _lock(folder: Path, stack: ExitStack) -> None:
    """Keep other processes out; the lock ends with the process, however that ends."""
    file = stack.enter_context((folder / LOCK).open("a+"))
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as err:
        file.seek(0)
        owner = file.read().strip() or "unknown"
        raise StreamError(
            f"{folder}: process {owner} records into it; one at a time can"
        ) from err
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()


def _head(path: Path) -> Head:
    """Return what is in a log, which gets an index if it has none."""
    if index_file(path).exists():
        return read_head(path)
    contents = Contents()
    try:
        for block in read_blocks(path):
            contents.add_block(block.records)
    except CutLogError as cut:
        log.warning(
            "archive_log_cut", file=str(path), lost=path.stat().st_size - cut.end
        )
        os.truncate(path, cut.end)
    except UndecodableError as err:
        raise StreamError(
            f"{err}. Move it out of the folder: what the topics still have of it is "
            "recorded again, if it was the last log"
        ) from err
    with path.open("rb") as file:  # what was read may be in memory only
        os.fsync(file.fileno())
    sync_folder(path.parent)
    return write_index(path, contents)
