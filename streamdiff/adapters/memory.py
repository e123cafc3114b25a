"""A stream in memory: topics, partitions, consumer groups and rebalances.

It behaves like Kafka where the runtime can notice: offsets per partition, commit
points with metadata, cooperative rebalances whose callbacks run inside `poll`, and
a group that refuses commits of members that no longer own a partition. All is
deterministic: partitions are shared out in sorted order, read in turn.
"""

import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from streamdiff.errors import RetryableError
from streamdiff.ports import (
    AssignedCallback,
    Clock,
    CommitPoint,
    ConsumedRecord,
    Consumer,
    Offsets,
    OutgoingRecord,
    PartitionsCallback,
    TopicPartition,
)


@dataclass(slots=True, eq=False)
class _Group:
    """A consumer group: who is in it, who owns what, and where it stands."""

    committed: dict[TopicPartition, CommitPoint] = field(default_factory=dict)
    topics: dict["MemoryConsumer", frozenset[str]] = field(default_factory=dict)
    owners: dict[TopicPartition, "MemoryConsumer"] = field(default_factory=dict)

    def target(self, partition: TopicPartition) -> "MemoryConsumer | None":
        """Return the member that is to own a partition."""
        members = [m for m, topics in self.topics.items() if partition.topic in topics]
        return members[partition.partition % len(members)] if members else None


class MemoryBroker:
    """Topics in memory, shared by consumers and producers of any thread.

    Parameters
    ----------
    partitions : mapping of str to int
        Number of partitions of each topic; other topics are made with one
        partition when first used.
    clock : Clock
        Gives records their timestamps.
    """

    def __init__(self, partitions: Mapping[str, int], *, clock: Clock) -> None:
        self._clock = clock
        self._logs: dict[TopicPartition, list[ConsumedRecord]] = {}
        self._groups: dict[str, _Group] = {}
        self.changed = threading.Condition()
        for topic, number in partitions.items():
            self._create(topic, number)

    def produce(self, record: OutgoingRecord, *, partition: int | None = None) -> None:
        """Append a record; its key decides the partition if none is given."""
        self.produce_all([record], partition=partition)

    def produce_all(
        self, records: Iterable[OutgoingRecord], *, partition: int | None = None
    ) -> None:
        """Append records, all at once for those who read."""
        with self.changed:
            for record in records:
                self._append(record, partition)
            self.changed.notify_all()

    def records(self, topic: str) -> list[ConsumedRecord]:
        """Return the records of a topic, partition by partition."""
        with self.changed:
            return [
                r
                for p, log in sorted(self._logs.items())
                if p.topic == topic
                for r in log
            ]

    def committed(self, group: str) -> dict[TopicPartition, CommitPoint]:
        """Return where a group stands."""
        with self.changed:
            return dict(self.group(group).committed)

    def group(self, name: str) -> _Group:
        """Return a group; call with the lock of ``changed`` held."""
        return self._groups.setdefault(name, _Group())

    def partitions(self, topics: Iterable[str]) -> list[TopicPartition]:
        """Return all partitions of topics, which are created if need be."""
        wanted = set(topics)
        for topic in wanted - {p.topic for p in self._logs}:
            self._create(topic, 1)
        return sorted(p for p in self._logs if p.topic in wanted)

    def log(self, partition: TopicPartition) -> Sequence[ConsumedRecord]:
        """Return the records of a partition; call with the lock held."""
        return self._logs[partition]

    def _create(self, topic: str, partitions: int) -> None:
        for number in range(partitions):
            self._logs.setdefault(TopicPartition(topic, number), [])

    def _append(self, record: OutgoingRecord, partition: int | None) -> None:
        number = len(self.partitions([record.topic]))
        if partition is None:
            # a record without a key goes to partition 0: order before balance
            partition = zlib.crc32(record.key) % number if record.key else 0
        log = self._logs[TopicPartition(record.topic, partition)]
        log.append(
            ConsumedRecord(
                topic=record.topic,
                partition=partition,
                offset=len(log),
                key=record.key,
                value=record.value,
                headers=record.headers,
                timestamp_ms=int(self._clock.time() * 1000),
                timestamp_type="log_append",
            )
        )


class MemoryTransport:
    """A `streamdiff.ports.Transport` to a broker in memory."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    def consumer(self, group: str) -> "MemoryConsumer":
        """Return a new member of a consumer group."""
        return MemoryConsumer(self._broker, group)

    def producer(self) -> "MemoryProducer":
        """Return a new producer."""
        return MemoryProducer(self._broker)

    def read_all(self, topic: str) -> Iterator[ConsumedRecord]:
        """Yield what a topic holds now, each partition in its order."""
        return iter(self._broker.records(topic))

    def transactions(self, consumer: Consumer) -> "MemoryTransactions":
        """Return a new producer that commits for a consumer."""
        return MemoryTransactions(self._broker, consumer)


class MemoryProducer:
    """A `streamdiff.ports.Producer` in memory."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    def send(self, records: Sequence[OutgoingRecord]) -> None:
        """Append records, all or none."""
        self._broker.produce_all(records)

    def close(self) -> None:
        """Do nothing."""


class MemoryTransactions:
    """A `streamdiff.ports.Transactions` in memory."""

    def __init__(self, broker: MemoryBroker, consumer: Consumer) -> None:
        self._broker = broker
        self._consumer = consumer

    def send(
        self,
        records: Sequence[OutgoingRecord],
        offsets: Offsets,
        *,
        is_ours: Callable[[], bool],
    ) -> None:
        """Append records and commit, all or nothing.

        Raises
        ------
        RetryableError
            If a partition is not owned by the consumer.
        """
        with self._broker.changed:
            if not is_ours() or not self._consumer.commit(offsets):
                raise RetryableError("the partition is not ours now")
            self._broker.produce_all(records)

    def close(self) -> None:
        """Do nothing."""


class MemoryConsumer:
    """A `streamdiff.ports.Consumer` in memory."""

    def __init__(self, broker: MemoryBroker, group: str) -> None:
        self._broker = broker
        self._name = group
        self._positions: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._turn = count()

    def subscribe(
        self,
        topics: Sequence[str],
        *,
        on_assign: AssignedCallback,
        on_revoke: PartitionsCallback,
        on_lost: PartitionsCallback,
    ) -> None:
        """Join the group; the callbacks run inside `poll` and `close`."""
        self._on_assign, self._on_revoke = on_assign, on_revoke
        self._on_lost = on_lost
        self._topics = frozenset(topics)
        with self._broker.changed:
            self._group.topics[self] = self._topics
            self._broker.changed.notify_all()

    def poll(self, timeout_s: float) -> ConsumedRecord | None:
        """Return the next record, or `None` after a time without one."""
        self._rebalance()
        with self._broker.changed:
            self._broker.changed.wait_for(self._has_news, timeout_s)
        self._rebalance()
        with self._broker.changed:
            return self._next()

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Stop fetching from partitions."""
        self._paused.update(partitions)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        """Fetch from partitions again."""
        self._paused.difference_update(partitions)

    def committed(self, partitions: Sequence[TopicPartition]) -> Offsets:
        """Return the commit points that the group has; none where it has none."""
        committed = self._broker.committed(self._name)
        return {p: committed[p] for p in partitions if p in committed}

    def commit(self, offsets: Offsets) -> bool:
        """Commit; False if a partition is not owned by this member."""
        with self._broker.changed:
            if any(self._group.owners.get(p) is not self for p in offsets):
                return False
            self._group.committed.update(offsets)
            return True

    def close(self) -> None:
        """Leave the group; partitions still held are revoked first."""
        self._give_back(self._lost(), self._on_lost)
        self._give_back(list(self._positions), self._on_revoke)
        self.expire()

    def expire(self) -> None:
        """Put this member out of the group, as a broker does with a silent one.

        It notices at its next poll, and joins again.
        """
        with self._broker.changed:
            self._group.topics.pop(self, None)
            for partition in self._owned():
                del self._group.owners[partition]
            self._broker.changed.notify_all()

    @property
    def _group(self) -> _Group:
        return self._broker.group(self._name)

    def _owned(self) -> list[TopicPartition]:
        return [p for p, owner in self._group.owners.items() if owner is self]

    def _rebalance(self) -> None:
        if lost := self._lost():
            self._give_back(lost, self._on_lost)
        with self._broker.changed:
            self._group.topics.setdefault(self, self._topics)
        if surplus := self._surplus():
            self._give_back(surplus, self._on_revoke)
        if missing := self._missing():
            self._take(missing)

    def _lost(self) -> list[TopicPartition]:
        with self._broker.changed:
            owners = self._group.owners
            return [p for p in self._positions if owners.get(p) is not self]

    def _surplus(self) -> list[TopicPartition]:
        with self._broker.changed:
            return [p for p in self._positions if self._group.target(p) is not self]

    def _missing(self) -> list[TopicPartition]:
        with self._broker.changed:
            return [
                p
                for p in self._broker.partitions(self._topics)
                if p not in self._group.owners and self._group.target(p) is self
            ]

    def _give_back(
        self, partitions: list[TopicPartition], tell: PartitionsCallback
    ) -> None:
        if not partitions:
            return
        tell(partitions)
        with self._broker.changed:
            for partition in partitions:
                self._positions.pop(partition, None)
                if self._group.owners.get(partition) is self:
                    del self._group.owners[partition]
            # a pause is kept, as by librdkafka when a partition is lost
            self._broker.changed.notify_all()

    def _take(self, partitions: list[TopicPartition]) -> None:
        with self._broker.changed:
            starts = {p: self._group.committed.get(p) for p in partitions}
            for partition, start in starts.items():
                self._group.owners[partition] = self
                self._positions[partition] = start.offset if start else 0
        self._on_assign(starts)

    def _has_news(self) -> bool:
        return bool(self._readable()) or self not in self._group.topics

    def _readable(self) -> list[TopicPartition]:
        return [
            p
            for p, position in self._positions.items()
            if p not in self._paused and position < len(self._broker.log(p))
        ]

    def _next(self) -> ConsumedRecord | None:
        readable = self._readable()
        if not readable:
            return None
        partition = readable[next(self._turn) % len(readable)]
        record = self._broker.log(partition)[self._positions[partition]]
        self._positions[partition] += 1
        return record
