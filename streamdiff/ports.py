"""What the core needs from the world: files, templates, and a stream of records.

Adapters implement these Protocols; nothing below `streamdiff.adapters` knows
Kafka, FITS or a file system.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from streamdiff.model import Coadd, Exposure, TemplateId, VisitReady

Headers = tuple[tuple[str, bytes | None], ...]


class Files(Protocol):
    """Read access to the files that events name."""

    def fetch(self, uri: str, *, sha256: str | None = None) -> bytes:
        """Return the content of a file.

        Raises
        ------
        ForbiddenUriError
            If the URI lies outside the configured roots.
        TooLargeError, ChecksumMismatchError
            If size or checksum are not as they must be.
        UnreadableImageError
            If there is no such file.
        StoreUnavailableError
            If the storage does not answer.
        """
        ...


class TemplateStore(Protocol):
    """Immutable, numbered versions of coadded templates."""

    def newest(self, template_id: TemplateId) -> int | None:
        """Return the highest complete version; `None` if there is none."""
        ...

    def load(self, template_id: TemplateId, version: int) -> Coadd | None:
        """Return one version; `None` if there is no such version.

        Raises
        ------
        ChecksumMismatchError
            If the stored bytes have changed.
        StoreUnavailableError
            If the storage does not answer.
        """
        ...

    def events(self, template_id: TemplateId, version: int) -> tuple[VisitReady, ...]:
        """Return the events of the exposures that a version was built from."""
        ...

    def save(self, coadd: Coadd, events: Sequence[VisitReady]) -> int:
        """Store the next version of the coadd's template and return its number.

        A reader sees the whole version or none of it; of two writers each gets
        a version of its own.
        """
        ...

    def retire(self, template_id: TemplateId) -> None:
        """Make a template invisible to `newest`; old versions stay loadable."""
        ...

    def load_warp(self, template_id: TemplateId, event: VisitReady) -> Exposure | None:
        """Return the cached warp of an exposure onto a patch, if there is one."""
        ...

    def save_warp(
        self, template_id: TemplateId, event: VisitReady, warp: Exposure
    ) -> None:
        """Cache the warp of an exposure onto a patch."""
        ...


@dataclass(frozen=True, slots=True, order=True)
class TopicPartition:
    """One partition of a topic."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumedRecord:
    """A record as it came from the stream, bit for bit.

    Attributes
    ----------
    topic, partition, offset
        Where it was.
    key, value : bytes or None
    headers : tuple of (str, bytes or None)
    timestamp_ms : int
        Milliseconds since 1970, UTC; -1 if unknown.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    timestamp_ms: int = -1

    @property
    def topic_partition(self) -> TopicPartition:
        """Return the partition it came from."""
        return TopicPartition(self.topic, self.partition)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingRecord:
    """A record to be produced."""

    topic: str
    value: bytes | None
    key: bytes | None = None
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class CommitPoint:
    """The next offset to read, and the metadata kept beside it.

    Attributes
    ----------
    offset : int
    metadata : str
        JSON such as ``{"attempt": 2}``: how often the record at ``offset`` has
        been dispatched; empty for never.
    """

    offset: int
    metadata: str = ""


Offsets = Mapping[TopicPartition, CommitPoint]
PartitionsCallback = Callable[[Sequence[TopicPartition]], None]


class Consumer(Protocol):
    """A member of a consumer group; owned by one thread."""

    def subscribe(
        self,
        topics: Sequence[str],
        *,
        on_assign: PartitionsCallback,
        on_revoke: PartitionsCallback,
        on_lost: PartitionsCallback,
    ) -> None:
        """Join the group; the callbacks run inside `poll` and `close`."""
        ...

    def poll(self, timeout_s: float) -> ConsumedRecord | None:
        """Return the next record, or `None` after a time without one."""
        ...

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Stop fetching from partitions."""
        ...

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        """Fetch from partitions again."""
        ...

    def committed(self, partitions: Sequence[TopicPartition]) -> Offsets:
        """Return the commit points that the group has; none where it has none."""
        ...

    def commit(self, offsets: Offsets) -> bool:
        """Commit synchronously; False if the group no longer lets this member."""
        ...

    def close(self) -> None:
        """Leave the group."""
        ...


class Producer(Protocol):
    """Sends records; owned by one thread."""

    def send(self, records: Sequence[OutgoingRecord]) -> None:
        """Send records and wait until the broker has acknowledged all of them.

        Raises
        ------
        RetryableError
            If not all were acknowledged: send the same records again.
        """
        ...

    def close(self) -> None:
        """Release the connection."""
        ...


class Transport(Protocol):
    """A stream of records: Kafka, or one in memory."""

    def consumer(self, group: str) -> Consumer:
        """Return a new member of a consumer group."""
        ...

    def producer(self) -> Producer:
        """Return a new producer."""
        ...


class Clock(Protocol):
    """The time, real or of a test."""

    def time(self) -> float:
        """Return seconds since 1970, UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        ...
