"""Kafka through confluent-kafka; its errors are translated here.

Anything that librdkafka can be told, such as TLS, SASL, ``group.instance.id`` or
``group.protocol``, is passed through.
"""

from streamdiff.adapters.kafka.client import Option
from streamdiff.adapters.kafka.consumer import KafkaConsumer
from streamdiff.adapters.kafka.producer import KafkaProducer
from streamdiff.adapters.kafka.transactions import KafkaTransactions
from streamdiff.adapters.kafka.transport import KafkaTransport

__all__ = [
    "KafkaConsumer",
    "KafkaProducer",
    "KafkaTransactions",
    "KafkaTransport",
    "Option",
]
