import subprocess
import sys

import pytest
from confluent_kafka.admin import AdminClient
from prometheus_client import CollectorRegistry
from transport_contract import TransportContract

from streamdiff.adapters import embedded
from streamdiff.adapters.clock import SystemClock
from streamdiff.adapters.embedded import EmbeddedBroker
from streamdiff.adapters.workers import InlineExecutor
from streamdiff.errors import ConfigError
from streamdiff.metrics import Metrics
from streamdiff.ports import OutgoingRecord
from streamdiff.stream.limits import DeadLetterLimit
from streamdiff.stream.retry import Backoff
from streamdiff.stream.runtime import Runtime
from streamdiff.stream.settings import RuntimeSettings
from streamdiff.testing.stream import PlainReporter, make_echo_handler

# the session decides how long a later rebalance of the mock lasts
QUICK = {"session.timeout.ms": 2000, "heartbeat.interval.ms": 300}


@pytest.fixture
def broker():
    with EmbeddedBroker({"in": 3, "out": 3, "dead-letter": 1}) as broker:
        yield broker


@pytest.fixture
def topic():
    return "in"


@pytest.fixture
def transport(broker):
    return broker.transport(QUICK)


class TestEmbeddedTransport(TransportContract):
    pass


def read(transport, topic, number):
    consumer = transport.consumer(f"reader of {topic}")
    consumer.subscribe([topic], on_assign=id, on_revoke=id, on_lost=id)
    records = []
    try:
        for _ in range(500):
            if len(records) >= number:
                break
            if record := consumer.poll(0.02):
                records.append(record)
    finally:
        consumer.close()
    return records


def test_topics_have_the_partitions_asked_for(broker):
    topics = AdminClient({"bootstrap.servers": broker.bootstrap}).list_topics(timeout=5)
    assert len(topics.topics["in"].partitions) == 3


def test_the_runtime_answers_every_event_once(transport):
    values = [b"%d" % i for i in range(29)] + [b"fail"]
    producer = transport.producer()
    producer.send([OutgoingRecord(topic="in", key=v, value=v) for v in values])
    producer.close()
    metrics = Metrics(CollectorRegistry())
    runtime = Runtime(
        RuntimeSettings(
            topics={"in": 60.0},
            group="g",
            work_backoff=Backoff(first_s=0),
            dead_letter_limit=DeadLetterLimit(ratio=1, consecutive=0),
        ),
        transport=transport,
        executor=InlineExecutor(make_echo_handler),
        reporter=PlainReporter(),
        clock=SystemClock(),
        metrics=metrics,
    )

    def finished():
        count = metrics.registry.get_sample_value
        labels = {"topic": "in"}
        return count("streamdiff_event_seconds_count", labels) == len(values)

    runtime.run(until=finished)
    answers = read(transport, "out", 29)
    assert sorted(r.value for r in answers) == sorted(values[:-1])
    assert [r.value for r in read(transport, "dead-letter", 1)] == [b"fail"]


def test_a_librdkafka_without_the_mock_cluster_is_named(monkeypatch):
    monkeypatch.setattr(embedded, "_SIGNATURES", {"rd_kafka_no_such": (None, ())})
    with pytest.raises(ConfigError, match="rd_kafka_no_such"):
        EmbeddedBroker({}).__enter__()


def test_an_impossible_topic_is_refused():
    with pytest.raises(ConfigError, match="'in' with 0 partitions"):
        EmbeddedBroker({"in": 0}).__enter__()


SERVICE = """
import sys
from prometheus_client import CollectorRegistry
from streamdiff.adapters.clock import SystemClock
from streamdiff.adapters.kafka import KafkaTransport
from streamdiff.adapters.workers import InlineExecutor
from streamdiff.metrics import Metrics
from streamdiff.stream.runtime import Runtime
from streamdiff.stream.settings import RuntimeSettings
from streamdiff.testing.stream import PlainReporter, make_echo_handler

options = {"session.timeout.ms": 2000, "heartbeat.interval.ms": 300, "log_level": 2}
metrics = Metrics(CollectorRegistry())
count = lambda: metrics.registry.get_sample_value(
    "streamdiff_event_seconds_count", {"topic": "in"}
)
Runtime(
    RuntimeSettings(topics={"in": 60.0}, group="g", max_attempts=2),
    transport=KafkaTransport(brokers=sys.argv[1], options=options),
    executor=InlineExecutor(make_echo_handler),
    reporter=PlainReporter(),
    clock=SystemClock(),
    metrics=metrics,
).run(until=lambda: count() == 2)
"""


def test_an_event_that_kills_the_whole_process_is_dead_lettered(broker, transport):
    producer = transport.producer()
    same_partition = [
        OutgoingRecord(topic="in", key=b"k", value=value) for value in (b"die", b"good")
    ]
    producer.send(same_partition)
    producer.close()

    runs = [
        subprocess.run(  # noqa: S603 - our own interpreter
            [sys.executable, "-c", SERVICE, broker.bootstrap],
            check=False,
            capture_output=True,
        ).returncode
        for _ in range(3)
    ]
    assert runs == [3, 3, 0]
    assert [r.value for r in read(transport, "dead-letter", 1)] == [b"die"]
    assert [r.value for r in read(transport, "out", 1)] == [b"good"]
