"""Ids of schemas from a registry, and readers that ask it for the schema.

Another registry than the fake one is named by ``STREAMDIFF_TEST_REGISTRY=URL``;
``python tests/registry/run.py`` runs these tests against a real one.
"""

import os
import socket
import uuid
from contextlib import ExitStack
from datetime import UTC, datetime

import pytest
from confluent_kafka import DeserializingConsumer, Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer

from streamdiff.adapters.avro.events import decode_event
from streamdiff.adapters.avro.schemas import load, schema_id
from streamdiff.adapters.embedded import EmbeddedBroker
from streamdiff.adapters.event_log import write_log
from streamdiff.app import wiring
from streamdiff.app.alerts.reading import AlertFiles
from streamdiff.app.environment import find_plugins
from streamdiff.app.schema_ids import record_ids, schema_ids
from streamdiff.app.worker import make_handler, make_reporter
from streamdiff.config import from_tree
from streamdiff.errors import ConfigError
from streamdiff.model import Alert, Outcome, TemplateRebuilt
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


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def broker_with(request):
    """Return a function: a topic -> the address of a broker that has it."""
    with ExitStack() as stack:

        def make(topic):
            if request.param == "kafka":
                kafka = request.getfixturevalue("kafka")
                kafka.create({topic: 1})
                return kafka.bootstrap
            return stack.enter_context(EmbeddedBroker({topic: 1})).bootstrap

        yield make


def test_others_decode_alerts_from_a_topic_by_the_registry(
    url, configured, broker_with
):
    """What ``kcat -s value=avro -r URL`` does, with confluent-kafka's own classes."""
    settings = configured()
    topic = f"{settings.stream.topic_prefix}alerts"
    brokers = broker_with(topic)
    producer = Producer({"bootstrap.servers": brokers})
    producer.produce(topic, message(settings))
    assert producer.flush(30) == 0
    with SchemaRegistryClient({"url": url}) as client:
        value = consumed(brokers, topic, AvroDeserializer(client))
    assert value["diaSource"]["psfFlux"] == 12.5
    assert value["diaSource"]["apFlux"] is None
    assert value["diaSourceId"] == 2**62


def consumed(brokers, topic, deserializer):
    """Return the first value of a topic, read by a consumer that knows no schema."""
    consumer = DeserializingConsumer(
        {
            "bootstrap.servers": brokers,
            "group.id": topic,
            "auto.offset.reset": "earliest",
            "value.deserializer": deserializer,
        }
    )
    try:
        consumer.subscribe([topic])
        read = consumer.poll(60)
        assert read is not None
        return read.value()
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
    assert record_ids(from_tree({})) == {}


def test_reports_have_ids_of_the_registry_and_are_read_by_others_and_here(
    url, configured
):
    settings = configured()
    ids = record_ids(settings)
    report = TemplateRebuilt(
        event_id="e",
        template_id="deep/1/2/r",
        version=7,
        outcome=Outcome.PROCESSED,
        software_version="1",
        finished_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    reporter = make_reporter(settings, PLUGINS, ids)
    sent = reporter.message(reporter.topics.template_rebuilt, report)
    assert sent.value[1:5] == ids["templateRebuilt"].to_bytes(4, "big")
    assert ids["templateRebuilt"] != schema_id("templateRebuilt")
    with SchemaRegistryClient({"url": url}) as client:
        value = AvroDeserializer(client)(sent.value, None)
    assert (value["template_id"], value["version"]) == ("deep/1/2/r", 7)
    read = ConsumedRecord(
        topic=sent.topic,
        partition=0,
        offset=0,
        key=sent.key,
        value=sent.value,
        headers=sent.headers,
    )
    assert decode_event(read) == report
    assert set(ids) == {"visitProcessed", "templateUpdate", "templateRebuilt"}


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
