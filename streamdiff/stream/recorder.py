"""Records topics into an archive, each record once, whatever happens.

What is in the archive decides. The group's offsets follow it: they are committed
once the disk has the records, and put back where they are ahead of it.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import structlog

from streamdiff.errors import StreamError
from streamdiff.ports import (
    Clock,
    CommitPoint,
    ConsumedRecord,
    Consumer,
    TopicPartition,
    Transport,
)

log = structlog.get_logger(__name__)

_POLL_S = 0.2
_JOINING_S = 30.0  # until there are partitions, nothing can come


class Archive(Protocol):
    """Where records go; see `streamdiff.adapters.archive.folder.Archive`."""

    def ends(self) -> Mapping[TopicPartition, int]:
        """Return the offset behind the last record of each partition."""
        ...

    def take(self, record: ConsumedRecord) -> bool:
        """Add a record; False if it is there already."""
        ...

    @property
    def is_due(self) -> bool:
        """Return whether what has been taken should go to the disk now."""
        ...

    def sync(self) -> Mapping[TopicPartition, int]:
        """Bring all to the disk, and return the ends of what has grown."""
        ...


class Recorder:
    """Reads topics and keeps their records; owned by one thread.

    Parameters
    ----------
    transport : Transport
    archive : Archive
    topics : sequence of str
    group : str
        Of its own: what another member records is missing here.
    clock : Clock
    accept_gaps : bool
        Whether to go on where the group stands, though it is ahead of the archive:
        where the records between are gone for good.
    """

    def __init__(
        self,
        transport: Transport,
        archive: Archive,
        *,
        topics: Sequence[str],
        group: str,
        clock: Clock,
        accept_gaps: bool = False,
    ) -> None:
        self._transport = transport
        self._archive = archive
        self._topics = topics
        self._group = group
        self._clock = clock
        self._accepts_gaps = accept_gaps
        self._stopping = False
        self._quiet_since_s = 0.0
        self._uncommitted: dict[TopicPartition, int] = {}
        self._ahead: dict[TopicPartition, int] = {}
        self._was_put_back = False
        self._had_partitions = False

    def stop(self) -> None:
        """Finish what has been read and end; from any thread or a signal."""
        self._stopping = True

    def run(self, *, until_idle_s: float = math.inf) -> None:
        """Record until stopped, or until no record has come for some time.

        Raises
        ------
        StreamError
            If reading can not go on, the archive is not of these topics, or there
            was nothing to read.
        StoreUnavailableError
            If the archive can not be written to.
        """
        self._quiet_since_s = self._clock.monotonic() + _JOINING_S
        while not self._is_over(until_idle_s):
            self._follow(until_idle_s)
        if not (self._stopping or self._had_partitions):
            raise StreamError(
                f"no partition of {', '.join(self._topics)} came to this member of "
                f"group {self._group}: the brokers do not answer, the topics do not "
                "exist, or other members have them all"
            )

    def _is_over(self, until_idle_s: float) -> bool:
        quiet_s = self._clock.monotonic() - self._quiet_since_s
        return self._stopping or quiet_s >= until_idle_s

    def _follow(self, until_idle_s: float) -> None:
        """Record as a member of the group, until the end or until it is put back."""
        self._ahead.clear()
        consumer = self._transport.consumer(self._group)
        consumer.subscribe(
            self._topics,
            on_assign=self._begin,
            on_revoke=lambda partitions: self._leave(consumer, partitions),
            on_lost=self._forget,
        )
        try:
            while not self._is_over(until_idle_s):
                record = self._next(consumer)
                if self._ahead:
                    self._put_back(consumer)
                    return
                if record is not None:
                    self._archive.take(record)
                    self._quiet_since_s = self._clock.monotonic()
                if record is None or self._archive.is_due:
                    self._sync(consumer)
            self._sync(consumer)
        finally:
            consumer.close()

    def _next(self, consumer: Consumer) -> ConsumedRecord | None:
        try:
            return consumer.poll(_POLL_S)
        except StreamError as err:
            if not self._was_put_back:
                raise
            raise StreamError(
                f"{err}. The group was put back to where the archive ends: if that is "
                "gone from the topic, set the group behind it, and accept gaps"
            ) from err

    def _begin(self, starts: Mapping[TopicPartition, CommitPoint | None]) -> None:
        self._quiet_since_s = self._clock.monotonic()
        self._had_partitions |= bool(starts)
        ends = self._archive.ends()
        for partition, start in starts.items():
            end = ends.get(partition)
            log.info(
                "partition_recorded",
                topic=partition.topic,
                partition=partition.partition,
                group_offset=start and start.offset,
                archive_end=end,
            )
            if end is not None and start is not None and start.offset > end:
                self._notice_gap(partition, start.offset, end)

    def _notice_gap(self, partition: TopicPartition, start: int, end: int) -> None:
        log.warning(
            "group_ahead_of_archive",
            topic=partition.topic,
            partition=partition.partition,
            missing=start - end,
            accepted=self._accepts_gaps,
        )
        if not self._accepts_gaps:
            self._ahead[partition] = end

    def _put_back(self, consumer: Consumer) -> None:
        """Let the group stand where the archive ends; the next member starts there."""
        consumer.commit({p: CommitPoint(end) for p, end in self._ahead.items()})
        self._was_put_back = True

    def _sync(self, consumer: Consumer) -> None:
        self._uncommitted.update(self._archive.sync())
        points = {p: CommitPoint(end) for p, end in self._uncommitted.items()}
        if points and consumer.commit(points):
            self._uncommitted.clear()

    def _leave(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        self._sync(consumer)
        self._forget(partitions)

    def _forget(self, partitions: Sequence[TopicPartition]) -> None:
        for partition in partitions:
            self._uncommitted.pop(partition, None)
            self._ahead.pop(partition, None)
