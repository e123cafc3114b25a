import pytest

from streamdiff.adapters.embedded import EmbeddedBroker
from streamdiff.adapters.kafka import KafkaTransport
from streamdiff.errors import ConfigError, RetryableError, StreamError, TooLargeError
from streamdiff.ports import CommitPoint, OutgoingRecord, TopicPartition


@pytest.fixture
def broker():
    with EmbeddedBroker({"in": 1}) as broker:
        yield broker


def nobody(**options):
    return KafkaTransport(brokers="127.0.0.1:1", options={"log_level": 2, **options})


@pytest.mark.parametrize("part", ["consumer", "producer"])
def test_a_setting_unknown_to_librdkafka_is_named(part):
    arguments = ["g"] if part == "consumer" else []
    with pytest.raises(ConfigError, match=r"no\.such\.thing"):
        getattr(nobody(**{"no.such.thing": 1}), part)(*arguments)


def test_the_new_group_protocol_needs_no_other_setting(broker):
    transport = broker.transport({"group.protocol": "consumer"})
    transport.consumer("g").close()


def test_a_send_that_nobody_acknowledges_can_be_repeated():
    producer = nobody(**{"delivery.timeout.ms": 300, "linger.ms": 0}).producer()
    with pytest.raises(RetryableError, match="1 records were not acknowledged"):
        producer.send([OutgoingRecord(topic="in", value=b"a")])


def test_a_record_larger_than_the_limit_is_too_large(broker):
    producer = broker.transport({"message.max.bytes": 2000}).producer()
    with pytest.raises(TooLargeError, match="larger than Kafka takes"):
        producer.send([OutgoingRecord(topic="in", value=bytes(3000))])
    producer.close()


def test_a_full_queue_of_the_client_is_waited_for(broker):
    producer = broker.transport({"queue.buffering.max.messages": 1}).producer()
    sent = [b"%d" % n for n in range(20)]
    producer.send([OutgoingRecord(topic="in", value=value) for value in sent])
    producer.close()
    consumer = broker.transport().consumer("g")
    consumer.subscribe(["in"], on_assign=_ignore, on_revoke=_ignore, on_lost=_ignore)
    read = []
    while len(read) < len(sent):
        record = consumer.poll(1.0)
        read += [record.value] if record is not None else []
    consumer.close()
    assert read == sent


def _ignore(partitions):
    """Leave partitions alone."""


def poll_long(consumer):
    for _ in range(1000):
        consumer.poll(0.02)


def test_a_committed_offset_that_is_gone_is_an_error(broker):
    consumer = broker.transport({"session.timeout.ms": 2000}).consumer("g")
    partition = TopicPartition("in", 0)
    consumer.subscribe(["in"], on_assign=id, on_revoke=id, on_lost=id)
    for _ in range(50):
        consumer.poll(0.02)
    assert consumer.commit({partition: CommitPoint(1000)})
    consumer.close()

    again = broker.transport({"session.timeout.ms": 2000}).consumer("g")
    again.subscribe(["in"], on_assign=id, on_revoke=id, on_lost=id)
    try:
        with pytest.raises(StreamError, match=r"in\[0\]: the committed offset"):
            poll_long(again)
    finally:
        again.close()
