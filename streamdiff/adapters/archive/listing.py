"""What is in event logs: by visit, or log by log.

Logs that have an index are not opened. Memory grows neither with their number nor
with what is in them; a log without an index is read for what one would say.
"""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from streamdiff.adapters.archive.index import (
    Contents,
    Entry,
    Span,
    earliest,
    latest,
    read_entries,
    read_head,
)
from streamdiff.adapters.event_log import read_blocks
from streamdiff.errors import CutLogError, UndecodableError


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which entries are wanted; `None` for any.

    Attributes
    ----------
    visit, detector : int or None
    band : str or None
    topic : str or None
        The whole name, or what follows its prefix.
    since_ms, until_ms : int or None
        Entries with a record in [since, until), or about then [ms].
    """

    visit: int | None = None
    detector: int | None = None
    band: str | None = None
    topic: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None

    def takes(self, entry: Entry) -> bool:
        """Return whether an entry is wanted."""
        subject = entry.subject
        return (
            self.visit in {None, subject.visit}
            and self.detector in {None, subject.detector}
            and self.band in {None, subject.band}
            and _is_topic(subject.topic, self.topic)
            and (self.since_ms is None or (entry.last_ms or -1) >= self.since_ms)
            and (self.until_ms is None or (entry.first_ms or 0) < self.until_ms)
        )


def _is_topic(topic: str, wanted: str | None) -> bool:
    return wanted is None or topic == wanted or topic.endswith(f".{wanted}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSummary:
    """What is in one log.

    Attributes
    ----------
    path : Path
    has_index : bool
        Else a recorder is at work on it, or it is none of a recorder's.
    records, size : int
        The size in bytes.
    first_ms, last_ms : int or None
        Earliest and latest timestamp since 1970, UTC [ms].
    spans : tuple of Span
    """

    path: Path
    has_index: bool
    records: int
    size: int
    first_ms: int | None
    last_ms: int | None
    spans: tuple[Span, ...]


def list_visits(files: Sequence[Path], selection: Selection) -> Iterator[Entry]:
    """Yield what logs have about each visit, detector, band and topic, sorted.

    Raises
    ------
    UndecodableError
        If a log is damaged, or an index.
    """
    merged = heapq.merge(*map(_entries, files), key=lambda e: e.subject.order)
    for _, same in groupby(merged, key=lambda e: e.subject):
        entry = _joined(same)
        if selection.takes(entry):
            yield entry


def list_logs(files: Iterable[Path]) -> Iterator[LogSummary]:
    """Yield what each log has.

    Raises
    ------
    UndecodableError
        If a log is damaged.
    """
    for path in files:
        try:
            head = read_head(path)
        except UndecodableError:
            yield _summary(path, scanned(path))
            continue
        yield LogSummary(
            path=path,
            has_index=True,
            records=head.records,
            size=head.size,
            first_ms=head.first_ms,
            last_ms=head.last_ms,
            spans=head.spans,
        )


def scanned(path: Path) -> Contents:
    """Return what can be read of a log, up to its last whole block.

    Raises
    ------
    UndecodableError
        If it is no log, or damaged before its end.
    """
    contents = Contents()
    try:
        for block in read_blocks(path):
            contents.add_block(block.records)
    except CutLogError:
        pass
    return contents


def _summary(path: Path, contents: Contents) -> LogSummary:
    return LogSummary(
        path=path,
        has_index=False,
        records=contents.records,
        size=path.stat().st_size,
        first_ms=contents.first_ms,
        last_ms=contents.last_ms,
        spans=contents.spans,
    )


def _entries(path: Path) -> Iterator[Entry]:
    try:
        read_head(path)
    except UndecodableError:
        return scanned(path).entries()
    return read_entries(path)


def _joined(entries: Iterable[Entry]) -> Entry:
    found = list(entries)
    if len(found) == 1:
        return found[0]
    first_ms = last_ms = None
    for entry in found:
        first_ms = earliest(first_ms, entry.first_ms)
        last_ms = latest(last_ms, entry.last_ms)
    return Entry(
        subject=found[0].subject,
        records=sum(entry.records for entry in found),
        first_ms=first_ms,
        last_ms=last_ms,
    )
