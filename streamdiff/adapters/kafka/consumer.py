"""A member of a consumer group of a Kafka cluster."""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import confluent_kafka as ck
import structlog

from streamdiff.adapters.kafka.client import Option, open_client
from streamdiff.adapters.kafka.errors import HOPELESS, judge, stream_error
from streamdiff.errors import RetryableError, StreamError
from streamdiff.ports import (
    AssignedCallback,
    CommitPoint,
    ConsumedRecord,
    Headers,
    Offsets,
    PartitionsCallback,
    TopicPartition,
)

log = structlog.get_logger()

_COMMITTED_TIMEOUT_S = 10.0
_COMMITTED_TRIES = 6
_ANSWER_TIMEOUT_S = 30.0


class KafkaConsumer:
    """A `streamdiff.ports.Consumer` of a Kafka cluster.

    Parameters
    ----------
    settings : mapping of str to Option
        All settings of librdkafka.

    Attributes
    ----------
    group : str
    """

    def __init__(self, settings: Mapping[str, Option]) -> None:
        self.group = str(settings["group.id"])
        self._consumer = open_client(ck.Consumer, settings)
        self._open = threading.Lock()  # held while another thread uses the client
        self._is_closed = False
        strategy = str(settings.get("partition.assignment.strategy", ""))
        self._is_incremental = (
            "cooperative" in strategy or settings.get("group.protocol") == "consumer"
        )

    def subscribe(
        self,
        topics: Sequence[str],
        *,
        on_assign: AssignedCallback,
        on_revoke: PartitionsCallback,
        on_lost: PartitionsCallback,
    ) -> None:
        """Join the group; the callbacks run inside `poll` and `close`."""

        def assigned(_: ck.Consumer, partitions: list[ck.TopicPartition]) -> None:
            starts = self._starts(_ours(partitions))
            self._assign(starts)
            on_assign(starts)

        self._consumer.subscribe(
            list(topics),
            on_assign=assigned,
            on_revoke=lambda _, partitions: on_revoke(_ours(partitions)),
            on_lost=lambda _, partitions: on_lost(_ours(partitions)),
        )

    def poll(self, timeout_s: float) -> ConsumedRecord | None:
        """Return the next record, or `None` after a time without one.

        Raises
        ------
        StreamError
            If the committed offset is gone, or the cluster refuses this client.
        """
        try:
            message = self._consumer.poll(timeout_s)
        except ck.KafkaException as err:
            raise stream_error(err.args[0]) from err
        if message is None:
            return None
        error = message.error()
        if error is None:
            return _record(message)
        judge(error, message)
        return None

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Stop fetching from partitions."""
        self._consumer.pause([_theirs(p) for p in partitions])

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        """Fetch from partitions again."""
        self._consumer.resume([_theirs(p) for p in partitions])

    def committed(self, partitions: Sequence[TopicPartition]) -> Offsets:
        """Return the commit points that the group has; none where it has none.

        Raises
        ------
        StreamError
            If the group coordinator does not answer, also after several tries.
        """
        asked = [_theirs(p) for p in partitions]
        for _ in range(_COMMITTED_TRIES):
            try:
                answer = self._consumer.committed(asked, timeout=_COMMITTED_TIMEOUT_S)
            except ck.KafkaException as err:
                log.warning("committed_offsets_unknown", error=str(err))
                continue
            if all(p.error is None for p in answer):
                return {
                    _our(p): CommitPoint(p.offset, p.metadata or "")
                    for p in answer
                    if p.offset >= 0
                }
            log.warning("committed_offsets_unknown", error=str(answer))
        raise StreamError(f"the group coordinator does not tell offsets of {asked}")

    def commit(self, offsets: Offsets) -> bool:
        """Commit synchronously; False if the group does not accept it now."""
        points = [
            _theirs(p, offset=point.offset, metadata=point.metadata)
            for p, point in offsets.items()
        ]
        try:
            answer = self._consumer.commit(offsets=points, asynchronous=False) or []
        except ck.KafkaException as err:
            error = err.args[0]
            if error.fatal() or error.code() in HOPELESS:
                raise stream_error(error) from err
            log.warning("commit_refused", error=str(error))
            return False
        refused = [p for p in answer if p.error is not None]
        if refused:
            log.warning("commit_refused", error=str(refused))
        return not refused

    def membership(self) -> Any | None:  # noqa: ANN401 - opaque
        """Return what proves the membership to a transaction; from any thread.

        `None` for a client that is no member now. The group does not check the
        commits of one: it takes them for those of a tool.
        """
        with self._open:
            if self._is_closed:
                return None
            metadata = self._consumer.consumer_group_metadata()
            # asked second: an id that is gone was gone from the metadata, or it is
            # an id of later, when the partitions of before were already lost
            return metadata if self._consumer.memberid() else None

    def has_committed(self, offsets: Offsets) -> bool:
        """Return whether the group stands there, or further on; from any thread.

        Raises
        ------
        RetryableError
            If the group coordinator does not answer.
        """
        with self._open:
            if self._is_closed:
                raise RetryableError("the consumer is closed")
            try:
                answer = self._consumer.committed(
                    [_theirs(p) for p in offsets], timeout=_COMMITTED_TIMEOUT_S
                )
            except ck.KafkaException as err:
                raise RetryableError(f"committed offsets: {err}") from err
        if any(p.error is not None for p in answer):
            raise RetryableError(f"committed offsets: {answer}")
        return all(p.offset >= offsets[_our(p)].offset for p in answer)

    def close(self) -> None:
        """Leave the group; partitions still held are revoked first."""
        with self._open:
            self._is_closed = True
        self._consumer.close()

    def read_all(self, topic: str) -> Iterator[ConsumedRecord]:
        """Yield what a topic holds now; needs ``enable.partition.eof``.

        Raises
        ------
        StreamError
            If the cluster refuses this client, or does not answer.
        """
        left = self._partitions(topic)
        starts = [ck.TopicPartition(topic, p, ck.OFFSET_BEGINNING) for p in left]
        self._consumer.assign(starts)
        while left:
            message = self._consumer.poll(_ANSWER_TIMEOUT_S)
            if message is None:
                raise StreamError(f"{topic}: no answer from the brokers of {left}")
            error = message.error()
            if error is None:
                yield _record(message)
            elif error.code() == ck.KafkaError._PARTITION_EOF:  # noqa: SLF001
                left.discard(cast("int", message.partition()))
            else:
                judge(error, message)

    def _partitions(self, topic: str) -> set[int]:
        try:
            found = self._consumer.list_topics(topic, timeout=_ANSWER_TIMEOUT_S)
        except ck.KafkaException as err:
            raise stream_error(err.args[0]) from err
        described = found.topics.get(topic)
        if described is None or not described.partitions:
            return set()
        return set(described.partitions)

    def _starts(
        self, partitions: Sequence[TopicPartition]
    ) -> dict[TopicPartition, CommitPoint | None]:
        committed = self.committed(partitions) if partitions else {}
        return {p: committed.get(p) for p in partitions}

    def _assign(self, starts: Mapping[TopicPartition, CommitPoint | None]) -> None:
        positions = [
            _theirs(p, offset=point.offset if point else ck.OFFSET_BEGINNING)
            for p, point in starts.items()
        ]
        if self._is_incremental:
            self._consumer.incremental_assign(positions)
        else:
            self._consumer.assign(positions)


_TIMESTAMP_TYPES = {
    ck.TIMESTAMP_CREATE_TIME: "create",
    ck.TIMESTAMP_LOG_APPEND_TIME: "log_append",
}


def _record(message: ck.Message) -> ConsumedRecord:
    kind, timestamp_ms = message.timestamp()
    # the stubs allow for messages that were never consumed
    return ConsumedRecord(
        topic=cast("str", message.topic()),
        partition=cast("int", message.partition()),
        offset=cast("int", message.offset()),
        key=message.key(),
        value=message.value(),
        headers=cast("Headers", tuple(message.headers() or ())),
        timestamp_ms=-1 if kind == ck.TIMESTAMP_NOT_AVAILABLE else timestamp_ms,
        timestamp_type=_TIMESTAMP_TYPES.get(kind, "unknown"),
    )


def _our(partition: ck.TopicPartition) -> TopicPartition:
    return TopicPartition(partition.topic, partition.partition)


def _ours(partitions: Iterable[ck.TopicPartition]) -> list[TopicPartition]:
    return [_our(p) for p in partitions]


def _theirs(
    partition: TopicPartition,
    *,
    offset: int = ck.OFFSET_INVALID,
    metadata: str = "",
) -> ck.TopicPartition:
    return ck.TopicPartition(partition.topic, partition.partition, offset, metadata)
