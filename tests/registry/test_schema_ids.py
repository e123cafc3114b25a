"""Ids of schemas from a registry, and readers that ask it for the schema.

Another registry than the fake one is named by ``STREAMDIFF_TEST_REGISTRY=URL``;
``python tests/registry/run.py`` runs these tests against a real one.
"""

import os
import socket
import uuid

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from streamdiff.adapters.avro.schemas import load
from streamdiff.adapters.embedded import EmbeddedBroker
from streamdiff.adapters.event_log import write_log
from streamdiff.app import wiring
from streamdiff.app.alerts.reading import AlertFiles
from streamdiff.app.environment import find_plugins
from streamdiff.app.schema_ids import schema_ids
from streamdiff.app.worker import make_handler
from streamdiff.config import from_tree
from streamdiff.errors import ConfigError
from streamdiff.model import Alert
from streamdiff.ports import ConsumedRecord
from streamdiff.testing.schema_registry import SchemaRegistryServer

PLUGINS = find_plugins()


@pytest.fixture(scope="module")
def url():
    """Give the address of a registry."""
    if address := os.environ.get("STREAMDIFF_TEST_REGISTRY"):
        yield address
        return
    with SchemaRegistryServer() as server:
        yield server.url


@pytest.fixture
def configured(url):
    """Return a function: options of the registry -> settings with their own topics."""

    def make(*, register=True, **registry):
        options = {"url": url, "auto.register.schemas": register} | registry
        stream = {"topic_prefix": f"t{uuid.uuid4().hex[:12]}.", "registry": options}
        return from_tree({"stream": stream, "store": {"uri": "memory://templates"}})

    return make


def alert():
    source = {
        "diaSourceId": 2**62,
        "visit": 7,
        "detector": 3,
        "midpointMjdTai": 61105.125,
        "ra": 63.25,
        "dec": -47.5,
        "x": 1.0,
        "y": 2.0,
        "psfFlux": 12.5,
    }
    return Alert(
        event_id="e",
        dia_source=source,
        cutout_difference=None,
        cutout_science=None,
        cutout_template=None,
    )


def message(settings):
    """Return an alert as a worker would send it."""
    ids = schema_ids(settings, PLUGINS)
    return wiring.alert_formats(settings, PLUGINS, ids)["streamdiff"].encode(alert())


def test_others_decode_alerts_from_a_topic_by_the_registry(url, configured):
    """What ``kcat -s value=avro -r URL`` does, with confluent-kafka's own classes."""
    settings = configured()
    topic = f"{settings.stream.topic_prefix}alerts"
    with EmbeddedBroker({topic: 1}) as broker, SchemaRegistryClient({"url": url}) as c:
        producer = Producer({"bootstrap.servers": broker.bootstrap})
        producer.produce(topic, message(settings))
        assert producer.flush(30) == 0
        value = consumed(broker, topic, AvroDeserializer(c))
    assert value["diaSource"]["psfFlux"] == 12.5
    assert value["diaSource"]["apFlux"] is None
    assert value["diaSourceId"] == 2**62


def consumed(broker, topic, deserialize):
    """Return the first value of a topic."""
    options = {"group.id": "g", "auto.offset.reset": "earliest"}
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, **options})
    try:
        consumer.subscribe([topic])
        read = consumer.poll(60)
        assert read is not None
        assert read.error() is None
        context = SerializationContext(topic, MessageField.VALUE)
        return deserialize(read.value(), context)
    finally:
        consumer.close()


def test_the_registry_has_the_schema_with_its_documentation(url, configured):
    settings = configured()
    message(settings)
    subject = f"{settings.stream.topic_prefix}alerts-value"
    with SchemaRegistryClient({"url": url}) as client:
        registered = client.get_latest_version(subject)
    assert '"doc": "Right ascension' in registered.schema.schema_str.replace(
        '"doc":"', '"doc": "'
    )
    assert "__fastavro" not in registered.schema.schema_str


def test_a_schema_keeps_its_id(configured):
    settings = configured()
    first = schema_ids(settings, PLUGINS)
    assert schema_ids(settings, PLUGINS) == first
    stream = settings.stream.model_copy(
        update={"registry": {"url": settings.stream.registry["url"]}}
    )
    # it is there now, and need not be registered
    assert schema_ids(settings.model_copy(update={"stream": stream}), PLUGINS) == first


def test_a_schema_that_is_not_there_is_told(configured):
    settings = configured(register=False)
    subject = f"{settings.stream.topic_prefix}alerts-value"
    with pytest.raises(ConfigError, match=rf"{subject}.*auto\.register\.schemas"):
        schema_ids(settings, PLUGINS)


def test_a_registry_that_is_away_is_told(configured):
    # nothing listens on the port of discarded data
    settings = configured(url="http://127.0.0.1:9", **{"max.retries": 0})
    with pytest.raises(
        ConfigError, match=r"\[stream\.registry\] http://127\.0\.0\.1:9"
    ):
        schema_ids(settings, PLUGINS)


def test_a_registry_that_does_not_answer_is_told(configured):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        settings = configured(url=url, timeout=0.2, **{"max.retries": 0})
        with pytest.raises(ConfigError, match=rf"{url}.*timed out"):
            schema_ids(settings, PLUGINS)


def test_no_registry_gives_no_ids():
    assert schema_ids(from_tree({}), PLUGINS) == {}


def test_a_worker_gets_the_ids(configured):
    settings = configured()
    handler = make_handler(settings, {"streamdiff": 12345})
    sent = handler.formats["streamdiff"].encode(alert())
    assert sent[:5] == b"\0" + (12345).to_bytes(4, "big")


def test_alerts_with_ids_of_a_registry_are_read_from_logs(configured, tmp_path):
    settings = configured()
    value = message(settings)
    assert value[1:5] != (100).to_bytes(4, "big")  # else this test shows nothing
    headers = (("streamdiff.schema", load("alert")["name"].encode()),)
    logged = ConsumedRecord(
        topic="t.alerts", partition=0, offset=0, key=None, value=value, headers=headers
    )
    write_log(tmp_path / "log.avro", [logged])
    (item,) = AlertFiles(paths=(tmp_path / "log.avro",)).read()
    assert item.record["diaSource"]["psfFlux"] == 12.5
