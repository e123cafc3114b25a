"""A producer to a Kafka cluster."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import confluent_kafka as ck

from streamdiff.adapters.kafka.client import Option, open_client, untangled
from streamdiff.adapters.kafka.errors import send_error
from streamdiff.ports import OutgoingRecord

_FLUSH_S = 0.5
_CLOSE_FLUSH_S = 5.0


class KafkaProducer:
    """A `streamdiff.ports.Producer` to a Kafka cluster.

    Parameters
    ----------
    settings : mapping of str to Option
        All settings of librdkafka.
    """

    def __init__(self, settings: Mapping[str, Option]) -> None:
        self._producer = open_client(ck.Producer, settings)

    def send(self, records: Sequence[OutgoingRecord]) -> None:
        """Send records and wait until the broker has acknowledged all of them.

        Raises
        ------
        RetryableError
            If not all were acknowledged: send the same records again.
        TooLargeError
            If a record is larger than the broker takes.
        StreamError
            If this producer can send no more.
        """
        errors: list[ck.KafkaError] = []

        def delivered(error: ck.KafkaError | None, _: ck.Message) -> None:
            if error is not None:
                errors.append(error)

        try:
            with untangled():
                for record in records:
                    produce(self._producer, record, delivered)
        except ck.KafkaException as err:
            errors.append(err.args[0])
        # reports come for all that was queued, at the latest after delivery.timeout.ms
        try:
            with untangled():
                while self._producer.flush(_FLUSH_S):
                    pass
        except ck.KafkaException as err:
            errors.append(err.args[0])
        if errors:
            raise send_error(errors)

    def close(self) -> None:
        """Release the connection."""
        self._producer.flush(_CLOSE_FLUSH_S)


def produce(
    producer: Any,  # noqa: ANN401 - the client of librdkafka
    record: OutgoingRecord,
    delivered: Callable[[ck.KafkaError | None, ck.Message], None],
) -> None:
    """Queue a record for sending, as soon as the queue has room."""
    while True:
        try:
            producer.produce(
                record.topic,
                value=record.value,
                key=record.key,
                headers=list(record.headers),
                on_delivery=delivered,
            )
        except BufferError:  # the local queue is full: wait for reports
            producer.poll(_FLUSH_S)
        else:
            return
