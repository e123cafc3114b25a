"""The index of an event log: what is in it, by partition and by visit.

It lies beside the log as lines of JSON: a head, then one line for each visit,
detector, band and topic, in this order. So it is read without being held.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from streamdiff.adapters.archive.subject import Subject, subjects
from streamdiff.adapters.whole_file import write_whole
from streamdiff.errors import UndecodableError
from streamdiff.ports import ConsumedRecord, TopicPartition

SUFFIX = ".index.jsonl"
FORMAT = 1
_CHUNK = 1 << 13  # many indexes are read side by side
_COUNTS = ("records", "first_ms", "last_ms")


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What a log has of one partition.

    Attributes
    ----------
    topic : str
    partition : int
    first_offset, last_offset : int
    records : int
    first_print, last_print : str
        `fingerprint` of its first and of its last record.
    """

    topic: str
    partition: int
    first_offset: int
    last_offset: int
    records: int
    first_print: str
    last_print: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a log has about one subject.

    Attributes
    ----------
    subject : Subject
    records : int
    first_ms, last_ms : int or None
        Earliest and latest timestamp since 1970, UTC [ms].
    """

    subject: Subject
    records: int
    first_ms: int | None
    last_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What the index says of its log as a whole.

    Attributes
    ----------
    size : int
        Of the log [byte].
    sha256 : str
        Of the log.
    index_sha256 : str
        Of the index itself: of the head with nothing in this place, and the lines
        that follow it.
    blocks, records : int
    first_ms, last_ms : int or None
        Earliest and latest timestamp since 1970, UTC [ms].
    spans : tuple of Span
        By topic and partition.
    format : int
        Version of the index itself.
    """

    size: int
    sha256: str
    index_sha256: str
    blocks: int
    records: int
    first_ms: int | None
    last_ms: int | None
    spans: tuple[Span, ...]
    format: int = FORMAT


@dataclass(slots=True)
class _Tally:
    records: int = 0
    first_ms: int | None = None
    last_ms: int | None = None

    def add(self, time_ms: int) -> None:
        self.records += 1
        if time_ms >= 0:  # else it is not known
            self.first_ms = earliest(self.first_ms, time_ms)
            self.last_ms = latest(self.last_ms, time_ms)

    def entry(self, subject: Subject) -> Entry:
        return Entry(
            subject=subject,
            records=self.records,
            first_ms=self.first_ms,
            last_ms=self.last_ms,
        )


@dataclass(slots=True, eq=False)
class Contents:
    """Collects what is in a log, record by record."""

    records: int = 0
    blocks: int = 0
    _times: _Tally = field(default_factory=_Tally)
    _subjects: dict[Subject, _Tally] = field(default_factory=dict)
    _first: dict[TopicPartition, ConsumedRecord] = field(default_factory=dict)
    _last: dict[TopicPartition, ConsumedRecord] = field(default_factory=dict)
    _counts: dict[TopicPartition, int] = field(default_factory=dict)

    def add_block(self, records: Iterable[ConsumedRecord]) -> None:
        """Count the records of a block."""
        self.blocks += 1
        for record in records:
            self.add(record)

    def add(self, record: ConsumedRecord) -> None:
        """Count a record; those of a partition come in the order of offsets."""
        self.records += 1
        self._times.add(record.timestamp_ms)
        partition = record.topic_partition
        self._first.setdefault(partition, record)
        self._last[partition] = record
        self._counts[partition] = self._counts.get(partition, 0) + 1
        for subject in subjects(record):
            self._subjects.setdefault(subject, _Tally()).add(record.timestamp_ms)

    @property
    def first_ms(self) -> int | None:
        """Return the earliest timestamp [ms]."""
        return self._times.first_ms

    @property
    def last_ms(self) -> int | None:
        """Return the latest timestamp [ms]."""
        return self._times.last_ms

    @property
    def n_subjects(self) -> int:
        """Return how many entries there are: they are what takes memory."""
        return len(self._subjects)

    @property
    def spans(self) -> tuple[Span, ...]:
        """Return what there is of each partition."""
        return tuple(
            Span(
                topic=partition.topic,
                partition=partition.partition,
                first_offset=self._first[partition].offset,
                last_offset=self._last[partition].offset,
                records=self._counts[partition],
                first_print=fingerprint(self._first[partition]),
                last_print=fingerprint(self._last[partition]),
            )
            for partition in sorted(self._first)
        )

    def entries(self) -> Iterator[Entry]:
        """Yield the entries, sorted by subject."""
        for subject in sorted(self._subjects, key=lambda s: s.order):
            yield self._subjects[subject].entry(subject)


def fingerprint(record: ConsumedRecord) -> str:
    """Return what tells a record from another one that took its offset."""
    told = (record.timestamp_ms, record.key, record.value)
    return hashlib.blake2b(repr(told).encode(), digest_size=8).hexdigest()


def index_file(log: Path) -> Path:
    """Return where the index of a log is."""
    return log.with_name(log.stem + SUFFIX)


def write_index(log: Path, contents: Contents) -> Head:
    """Write the index of a log that nobody writes to any more.

    Raises
    ------
    StoreUnavailableError
        If it can not be written.
    """
    lines = [_entry_line(entry) for entry in contents.entries()]
    head = Head(
        size=log.stat().st_size,
        sha256=file_sha256(log),
        index_sha256="",
        blocks=contents.blocks,
        records=contents.records,
        first_ms=contents.first_ms,
        last_ms=contents.last_ms,
        spans=contents.spans,
    )
    head = replace(head, index_sha256=_checksum(head, lines))
    write_whole(index_file(log), b"".join([_json_line(asdict(head)), *lines]))
    return head


def read_head(log: Path) -> Head:
    """Return what the index of a log says of it.

    Raises
    ------
    UndecodableError
        If there is no index, or it can not be read.
    """
    path = index_file(log)
    with _readable(path), path.open("rb") as file:
        values = json.loads(file.readline())
        spans = tuple(Span(**span) for span in values.pop("spans"))
        return Head(**values, spans=spans)


def is_index_whole(log: Path) -> bool:
    """Return whether the index of a log is as it was written.

    Raises
    ------
    UndecodableError
        If there is no index, or it can not be read.
    """
    head, path = read_head(log), index_file(log)
    with _readable(path), path.open("rb") as file:
        file.readline()
        return head.index_sha256 == _checksum(head, file)


def read_entries(log: Path) -> Iterator[Entry]:
    """Yield the entries of the index of a log, without holding it open.

    Raises
    ------
    UndecodableError
        If there is no index, or it can not be read.
    """
    path, place = index_file(log), None
    while True:
        with _readable(path):
            lines, place = _some_lines(path, place)
            entries = [_entry(values) for values in json.loads(_array(lines))]
        if not entries:
            return
        yield from entries


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def earliest(one: int | None, other: int | None) -> int | None:
    """Return the earlier of two times, `None` being unknown."""
    return min((t for t in (one, other) if t is not None), default=None)


def latest(one: int | None, other: int | None) -> int | None:
    """Return the later of two times, `None` being unknown."""
    return max((t for t in (one, other) if t is not None), default=None)


def _some_lines(path: Path, place: int | None) -> tuple[list[bytes], int]:
    """Return some lines from a place on, by default behind the head, and their end."""
    with path.open("rb") as file:
        if place is None:
            file.readline()
        else:
            file.seek(place)
        return file.readlines(_CHUNK), file.tell()


def _array(lines: list[bytes]) -> bytes:
    return b"[" + b",".join(lines) + b"]"


def _entry(values: dict[str, Any]) -> Entry:
    records, first_ms, last_ms = map(values.pop, _COUNTS)
    subject = Subject(**values)
    return Entry(subject=subject, records=records, first_ms=first_ms, last_ms=last_ms)


def _checksum(head: Head, lines: Iterable[bytes]) -> str:
    checksum = hashlib.sha256(_json_line(asdict(replace(head, index_sha256=""))))
    for line in lines:
        checksum.update(line)
    return checksum.hexdigest()


def _entry_line(entry: Entry) -> bytes:
    counts = {name: getattr(entry, name) for name in _COUNTS}
    return _json_line(asdict(entry.subject) | counts)


def _json_line(values: dict[str, Any]) -> bytes:
    return json.dumps(values, separators=(",", ":")).encode() + b"\n"


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as err:
        raise UndecodableError(
            f"{path} is no index of an event log: {type(err).__name__}: {err}"
        ) from err
