"""Whether event logs are whole: blocks, checksums, and the order of offsets.

Memory does not grow with their size.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from streamdiff.adapters.archive.folder import RECORDING
from streamdiff.adapters.archive.index import (
    file_sha256,
    index_file,
    is_index_whole,
    read_head,
)
from streamdiff.adapters.event_log import SUFFIX, log_metadata, read_blocks
from streamdiff.errors import CutLogError, UndecodableError
from streamdiff.ports import ConsumedRecord, TopicPartition

MAX_TOLD = 10  # of each kind of finding


@dataclass(slots=True, kw_only=True)
class FileReport:
    """What was found in one log.

    Attributes
    ----------
    path : Path
    state : str
        ``closed``: it has an index; ``open``: a recorder is at work on it, or was
        ended by force; ``plain``: no recorder has written it.
    records, blocks, size : int
        What can be read; the size of the file [byte].
    cut_bytes : int
        Behind the last whole block of an open log: no damage, the next start of
        the recorder removes them.
    problems : list of str
    """

    path: Path
    state: str
    records: int = 0
    blocks: int = 0
    size: int = 0
    cut_bytes: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Offsets that are missing between two records of a partition.

    Attributes
    ----------
    first, last : int
        The first and the last missing offset.
    within : bool
        Whether one run of a recorder has seen both sides: then these offsets hold
        nothing that a reader of committed records gets.
    """

    first: int
    last: int
    within: bool

    @property
    def size(self) -> int:
        """Return how many offsets are missing."""
        return self.last - self.first + 1


@dataclass(slots=True, kw_only=True)
class PartitionReport:
    """What was found of one partition, in all logs.

    Attributes
    ----------
    topic : str
    partition : int
    first_offset, last_offset, records : int
    markers : int
        Gaps of one offset: the end of a transaction takes one.
    within : int
        Larger gaps in one recording: transactions that were aborted, or
        compaction.
    between : int
        Larger gaps between two recordings, or two logs without a recorder: what
        was deleted before it was recorded, or a log that is missing.
    missing : int
        Offsets in the gaps of the last two kinds.
    gaps : list of Gap
        The first few of the last two kinds, those between recordings first.
    repeats : int
        Records whose offset is not above the one before.
    """

    topic: str
    partition: int
    first_offset: int
    last_offset: int
    records: int = 0
    markers: int = 0
    within: int = 0
    between: int = 0
    missing: int = 0
    gaps: list[Gap] = field(default_factory=list)
    repeats: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was found in all logs."""

    files: tuple[FileReport, ...]
    partitions: tuple[PartitionReport, ...]

    @property
    def is_whole(self) -> bool:
        """Return whether nothing is damaged; gaps are no damage."""
        return not any(file.problems for file in self.files)


def verify(files: Iterable[Path]) -> Verification:
    """Read logs, in the order of recording, and return what was found."""
    order = _Order()
    reports = tuple(_verified(path, order) for path in files)
    partitions = tuple(order.partitions[p] for p in sorted(order.partitions))
    return Verification(files=reports, partitions=partitions)


@dataclass(slots=True, eq=False)
class _Order:
    """Follows the offsets of each partition through the logs."""

    partitions: dict[TopicPartition, PartitionReport] = field(default_factory=dict)
    recordings: dict[TopicPartition, str] = field(default_factory=dict)

    def follow(self, record: ConsumedRecord, recording: str, file: FileReport) -> None:
        partition = record.topic_partition
        report = self.partitions.get(partition)
        if report is None:
            report = self.partitions[partition] = PartitionReport(
                topic=record.topic,
                partition=record.partition,
                first_offset=record.offset,
                last_offset=record.offset - 1,
            )
            self.recordings[partition] = recording
        report.records += 1
        if record.offset <= report.last_offset:
            report.repeats += 1
            if report.repeats <= MAX_TOLD:
                file.problems.append(
                    f"{record.topic}[{record.partition}]: offset {record.offset} "
                    f"follows {report.last_offset}"
                )
            return
        if record.offset > report.last_offset + 1:
            within = recording == self.recordings[partition]
            _note_gap(report, record.offset, within=within)
        report.last_offset = record.offset
        self.recordings[partition] = recording


def _note_gap(report: PartitionReport, offset: int, *, within: bool) -> None:
    gap = Gap(first=report.last_offset + 1, last=offset - 1, within=within)
    if gap.size == 1:
        report.markers += 1
        return
    report.missing += gap.size
    if within:
        report.within += 1
    else:
        report.between += 1
    if not within or len(report.gaps) < MAX_TOLD:
        report.gaps.append(gap)
        report.gaps.sort(key=lambda g: g.within)
        del report.gaps[MAX_TOLD:]


def _verified(path: Path, order: _Order) -> FileReport:
    report = FileReport(path=path, state="plain")
    try:
        recording = log_metadata(path).get(RECORDING)
        report.state = _state(path, recording)
        report.size = path.stat().st_size
        _read(path, order, recording or str(path), report)
        if report.state == "closed":
            _compare(path, report)
    except (UndecodableError, OSError) as err:
        report.problems.append(str(err))
    return report


def is_open(path: Path) -> bool:
    """Return whether a recorder writes a log still, or was killed while it did.

    Raises
    ------
    UndecodableError
        If it is no event log.
    """
    return _state(path, log_metadata(path).get(RECORDING)) == "open"


def _state(path: Path, recording: str | None) -> str:
    if index_file(path).exists():
        return "closed"
    return "open" if recording and _is_last(path) else "plain"


def _is_last(path: Path) -> bool:
    return path.name == max(p.name for p in path.absolute().parent.glob(f"*{SUFFIX}"))


def _read(path: Path, order: _Order, recording: str, report: FileReport) -> None:
    try:
        for block in read_blocks(path):
            report.blocks += 1
            report.records += len(block.records)
            for record in block.records:
                order.follow(record, recording, report)
    except CutLogError as cut:
        if report.state != "open":
            raise
        report.cut_bytes = path.stat().st_size - cut.end


def _compare(path: Path, report: FileReport) -> None:
    """Compare a log with its index, and the index with itself."""
    if not is_index_whole(path):
        report.problems.append(
            f"{index_file(path)} is damaged: delete it, and the next start of the "
            "recorder makes it again"
        )
    elif read_head(path).sha256 != file_sha256(path):
        report.problems.append(f"{path} has another SHA-256 than its index says")
