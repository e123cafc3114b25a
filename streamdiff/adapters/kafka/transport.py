"""Kafka clusters and the settings of their clients."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from streamdiff.adapters.kafka.client import Option
from streamdiff.adapters.kafka.consumer import KafkaConsumer
from streamdiff.adapters.kafka.producer import KafkaProducer

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
        settings = {**self._settings(_CONSUMER), **_CONSUMER_FIXED, "group.id": group}
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
        return KafkaProducer({**self._settings(_PRODUCER), **_PRODUCER_FIXED})

    def _settings(self, defaults: Mapping[str, Option]) -> dict[str, Option]:
        return {
            **_COMMON,
            **defaults,
            **self.options,
            "bootstrap.servers": self.brokers,
        }
