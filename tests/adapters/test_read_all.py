"""A topic is read to its present end, on every transport."""

import pytest

from streamdiff.adapters.embedded import EmbeddedBroker
from streamdiff.adapters.kafka import KafkaTransport
from streamdiff.adapters.memory import MemoryBroker, MemoryTransport
from streamdiff.errors import StreamError
from streamdiff.ports import OutgoingRecord
from streamdiff.testing.stream import FakeClock

PARTITIONS = {"in": 3, "empty": 2}


@pytest.fixture(params=["memory", "embedded"])
def transport(request):
    if request.param == "memory":
        yield MemoryTransport(MemoryBroker(PARTITIONS, clock=FakeClock()))
        return
    with EmbeddedBroker(PARTITIONS) as broker:
        yield broker.transport()


def send(transport, number):
    values = [b"%d" % n for n in range(number)]
    producer = transport.producer()
    producer.send([OutgoingRecord(topic="in", key=v, value=v) for v in values])
    producer.close()
    return values


def test_all_records_come_each_partition_in_its_order(transport):
    values = send(transport, 100)
    records = list(transport.read_all("in"))
    assert sorted(r.value for r in records) == sorted(values)
    for partition in range(3):
        offsets = [r.offset for r in records if r.partition == partition]
        assert offsets == list(range(len(offsets)))


def test_what_came_since_comes_the_next_time(transport):
    send(transport, 5)
    assert len(list(transport.read_all("in"))) == 5
    send(transport, 5)
    assert len(list(transport.read_all("in"))) == 10


@pytest.mark.parametrize("topic", ["empty", "no-such-topic"])
def test_what_holds_nothing_ends_at_once(transport, topic):
    assert list(transport.read_all(topic)) == []


def test_reading_can_be_given_up(transport):
    send(transport, 5)
    records = transport.read_all("in")
    next(records)
    del records
    assert len(list(transport.read_all("in"))) == 5


def test_brokers_that_do_not_answer_are_an_error(monkeypatch):
    monkeypatch.setattr("streamdiff.adapters.kafka.consumer._ANSWER_TIMEOUT_S", 0.2)
    nobody = KafkaTransport(brokers="127.0.0.1:1", options={"log_level": 2})
    with pytest.raises(StreamError, match="Kafka"):
        list(nobody.read_all("in"))
