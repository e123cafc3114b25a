"""A stream of records: topics with partitions, consumer groups and offsets."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

Headers = tuple[tuple[str, bytes | None], ...]


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
    timestamp_type : str
        What that is the time of: ``create``, ``log_append`` or ``unknown``.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    timestamp_ms: int = -1
    timestamp_type: str = "unknown"

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
# `None`: the group has no commit point there, reading starts at the earliest record
AssignedCallback = Callable[[Mapping[TopicPartition, CommitPoint | None]], None]


class Consumer(Protocol):
    """A member of a consumer group; owned by one thread."""

    def subscribe(
        self,
        topics: Sequence[str],
        *,
        on_assign: AssignedCallback,
        on_revoke: PartitionsCallback,
        on_lost: PartitionsCallback,
    ) -> None:
        """Join the group; the callbacks run inside `poll` and `close`.

        ``on_assign`` gets the partitions that are new to this member and where
        the group stands in them. During ``on_revoke`` the member may still
        commit, during ``on_lost`` another one may already own the partitions.
        """
        ...

    def poll(self, timeout_s: float) -> ConsumedRecord | None:
        """Return the next record, or `None` after a time without one.

        Raises
        ------
        StreamError
            If reading can not go on, such as when the committed offset has
            fallen out of the topic's retention.
        """
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
        """Commit synchronously; False if the group does not accept it now."""
        ...

    def close(self) -> None:
        """Leave the group; partitions still held are revoked first."""
        ...


class Producer(Protocol):
    """Sends records; owned by one thread."""

    def send(self, records: Sequence[OutgoingRecord]) -> None:
        """Send records and wait until the broker has acknowledged all of them.

        Raises
        ------
        RetryableError
            If not all were acknowledged: send the same records again.
        TooLargeError
            If a record is larger than the broker takes: sending it again is
            of no use.
        StreamError
            If this producer can send no more.
        """
        ...

    def close(self) -> None:
        """Release the connection."""
        ...


class Transactions(Protocol):
    """Sends records together with commit points; owned by one thread."""

    def send(
        self,
        records: Sequence[OutgoingRecord],
        offsets: Offsets,
        *,
        is_ours: Callable[[], bool],
    ) -> None:
        """Make records and commit points count together, or neither.

        Parameters
        ----------
        records : sequence of OutgoingRecord
        offsets : Offsets
            Of the group that this belongs to.
        is_ours : callable
            Whether the partitions are still held. Asked when it matters; once it
            has returned False nothing of this counts any more.

        Raises
        ------
        RetryableError
            If neither counts, or that is not known: send the same again. What did
            count is found out then, and not sent twice.
        TooLargeError
            If a record is larger than the broker takes.
        StreamError
            If nothing more can be sent, such as when another process has taken
            the place of this one.
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

    def read_all(self, topic: str) -> Iterator[ConsumedRecord]:
        """Yield what a topic holds now, each partition in its order.

        It takes no part in a group and commits nothing. A topic that does not
        exist holds nothing.

        Raises
        ------
        StreamError
            If it can not be read to its end.
        """
        ...

    def transactions(self, consumer: Consumer) -> Transactions:
        """Return a new producer that commits for a consumer of this transport."""
        ...


class Clock(Protocol):
    """The time, real or of a test."""

    def time(self) -> float:
        """Return seconds since 1970, UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        ...
