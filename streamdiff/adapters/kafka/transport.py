"""Kafka clusters and the settings of their clients."""

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import confluent_kafka as ck

from streamdiff.adapters.kafka.client import Option, open_client
from streamdiff.adapters.kafka.consumer import KafkaConsumer
from streamdiff.adapters.kafka.producer import KafkaProducer
from streamdiff.adapters.kafka.transactions import KafkaTransactions
from streamdiff.ports import ConsumedRecord, Consumer

_READER = "streamdiff.reader"  # a name that librdkafka wants; no group is joined
_COMMON: Mapping[str, Option] = {"client.id": "streamdiff", "log_level": 4}
_CONSUMER: Mapping[str, Option] = {
    "partition.assignment.strategy": "cooperative-sticky",
    "session.timeout.ms": 45_000,
    # guards the poll thread alone: work is done elsewhere
    "max.poll.interval.ms": 300_000,
    # events are long in work: what is fetched far ahead is fetched in vain
    "queued.min.messages": 50,
    "queued.max.messages.kbytes": 16_384,
    # else a partition whose queue was full rests for 1 s
    "fetch.queue.backoff.ms": 50,
}
_CONSUMER_FIXED: Mapping[str, Option] = {
    "enable.auto.commit": False,
    # where there is no commit, `_start` says so; a commit that is out of the
    # topic's retention is an error, never a jump
    "auto.offset.reset": "error",
}
_PRODUCER: Mapping[str, Option] = {
    "compression.type": "lz4",
    "linger.ms": 5,
    "delivery.timeout.ms": 120_000,
    # the broker's limit decides; the default of 1 MB here would come first
    "message.max.bytes": 16_777_216,
}
_PRODUCER_FIXED: Mapping[str, Option] = {"enable.idempotence": True, "acks": "all"}
_TRANSACTIONS: Mapping[str, Option] = {
    **_PRODUCER,
    "linger.ms": 0,  # a transaction is flushed at once
    # What a process that was killed left open blocks readers and the next owner of
    # its partition for so long; a broker may restart meanwhile.
    "transaction.timeout.ms": 30_000,
    "delivery.timeout.ms": 30_000,
}
# What one kind of client would warn of, being meant for the other one.
_CONSUMER_ONLY = (
    "auto.",
    "check.crcs",
    "enable.auto.",
    "fetch.",
    "group.",
    "heartbeat.",
    "isolation.",
    "max.poll.",
    "partition.assignment.",
    "queued.",
    "session.",
)
_PRODUCER_ONLY = (
    "acks",
    "batch.",
    "compression.",
    "delivery.timeout.",
    "enable.idempotence",
    "linger.",
    "message.timeout.",
    "queue.buffering.",
    "request.required.acks",
    "request.timeout.",
    "retries",
    "sticky.",
    "transaction",
)
# The newer group protocol leaves these to the broker and refuses them here.
_CLASSIC_ONLY = (
    "partition.assignment.strategy",
    "session.timeout.ms",
    "heartbeat.interval.ms",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaTransport:
    """A `streamdiff.ports.Transport` to a Kafka cluster.

    Attributes
    ----------
    brokers : str
        ``host:port``, several separated by commas.
    options : mapping of str to Option
        Settings of librdkafka for consumers and producers.
    """

    brokers: str
    options: Mapping[str, Option] = field(default_factory=dict)

    def consumer(self, group: str) -> "KafkaConsumer":
        """Return a new member of a consumer group.

        Raises
        ------
        ConfigError
            If librdkafka refuses a setting.
        """
        settings = self._settings(_CONSUMER, without=_PRODUCER_ONLY)
        settings |= {**_CONSUMER_FIXED, "group.id": group}
        if settings.get("group.protocol") == "consumer":
            settings = {k: v for k, v in settings.items() if k not in _CLASSIC_ONLY}
        return KafkaConsumer(settings)

    def producer(self) -> "KafkaProducer":
        """Return a new idempotent producer.

        Raises
        ------
        ConfigError
            If librdkafka refuses a setting.
        """
        settings = self._settings(_PRODUCER, without=(*_CONSUMER_ONLY, "transaction"))
        return KafkaProducer({**settings, **_PRODUCER_FIXED})

    def client(
        self, *, on_error: Callable[[ck.KafkaError], None] | None = None
    ) -> ck.Producer:
        """Return a client that can be asked about the cluster.

        What goes wrong meanwhile goes to `on_error`, or is logged.

        Raises
        ------
        ConfigError
            If librdkafka refuses a setting.
        """
        settings = self._settings(_COMMON, without=(*_CONSUMER_ONLY, *_PRODUCER_ONLY))
        client: ck.Producer = open_client(ck.Producer, settings, on_error=on_error)
        return client

    def transactions(self, consumer: Consumer) -> "KafkaTransactions":
        """Return a new transactional producer that commits for a consumer.

        Its transactional id is that of the group and, for a static member, its
        ``group.instance.id``: whoever comes with it next ends what this one left
        open. Other members have an id that never comes again.

        Raises
        ------
        ConfigError
            If librdkafka refuses a setting.
        StreamError
            If the cluster refuses transactions.
        """
        if not isinstance(consumer, KafkaConsumer):
            raise TypeError(f"{type(consumer).__name__} is no consumer of Kafka")
        instance = self.options.get("group.instance.id")
        settings = self._settings(_TRANSACTIONS, without=_CONSUMER_ONLY)
        settings["transactional.id"] = f"{consumer.group}.{instance or uuid.uuid4()}"
        return KafkaTransactions(
            {**settings, **_PRODUCER_FIXED}, consumer, is_shared=bool(instance)
        )

    def read_all(self, topic: str) -> Iterator[ConsumedRecord]:
        """Yield what a topic holds now, each partition in its order.

        Raises
        ------
        ConfigError
            If librdkafka refuses a setting.
        StreamError
            If it can not be read to its end.
        """
        options = {**self.options, "enable.partition.eof": True}
        consumer = replace(self, options=options).consumer(_READER)
        try:
            yield from consumer.read_all(topic)
        finally:
            consumer.close()

    def _settings(
        self, defaults: Mapping[str, Option], *, without: tuple[str, ...]
    ) -> dict[str, Option]:
        chosen = {k: v for k, v in self.options.items() if not k.startswith(without)}
        return {**_COMMON, **defaults, **chosen, "bootstrap.servers": self.brokers}
