"""The adapters on a real Kafka: what the embedded broker can not show."""

import threading
import time
from random import Random

import confluent_kafka as ck
import pytest
from confluent_kafka import IsolationLevel
from confluent_kafka.admin import OffsetSpec
from transport_contract import Member, TransactionsContract

from streamdiff.adapters.kafka import transactions as module
from streamdiff.adapters.kafka.transport import KafkaTransport
from streamdiff.errors import RetryableError, StreamError, TooLargeError
from streamdiff.ports import CommitPoint, OutgoingRecord, TopicPartition

pytestmark = pytest.mark.kafka


@pytest.fixture
def topic(kafka):
    name = kafka.new_name()
    kafka.create({name: 3})
    return name


class TestCooperative(TransactionsContract):
    @pytest.fixture
    def transport(self, kafka):
        return kafka.transport()


class TestRange(TransactionsContract):
    @pytest.fixture
    def transport(self, kafka):
        return kafka.transport(**{"partition.assignment.strategy": "range"})


class TestNewGroupProtocol(TransactionsContract):
    @pytest.fixture
    def transport(self, kafka):
        return kafka.transport(**{"group.protocol": "consumer"})


class TestStaticMembers:
    """A member that leaves keeps its partitions for its next incarnation."""

    def test_a_restart_moves_no_partition(self, kafka, topic):
        def join(name):
            transport = kafka.transport(**{"group.instance.id": name})
            return Member(transport, topic, f"{topic}.g")

        first = join("one")
        first.poll_until(lambda: len(first.starts) == 3)
        second = join("two")
        second.poll_until(lambda: second.starts, others=[first])
        kept, moved = set(second.starts), len(first.revoked)
        second.consumer.close()
        again = join("two")
        again.poll_until(lambda: again.starts, others=[first])
        assert set(again.starts) == kept
        assert len(first.revoked) == moved
        first.consumer.close()
        again.consumer.close()

    def test_a_second_process_of_one_name_ends_the_first(self, kafka, topic):
        transport = kafka.transport(**{"group.instance.id": "one"})
        member = Member(transport, topic, f"{topic}.g")
        member.poll_until(lambda: len(member.starts) == 3)
        transactions = transport.transactions(member.consumer)
        other = Member(transport, topic, f"{topic}.g")
        other.poll_until(lambda: len(other.starts) == 3)
        with pytest.raises(StreamError, match="fenced by other consumer"):
            member.poll_until(lambda: False)
        successor = transport.transactions(other.consumer)
        with pytest.raises(StreamError, match=r"taken over|[Ff]enced"):
            send(transactions, topic, b"b")
        send(successor, topic, b"c")
        other.consumer.close()
        member.consumer.close()
        assert committed_values(kafka, topic) == [b"c"]


def send(transactions, topic, *values, offset=1):
    transactions.send(
        [OutgoingRecord(topic=topic, key=b"out", value=v) for v in values],
        {TopicPartition(topic, 0): CommitPoint(offset)},
        is_ours=lambda: True,
    )


def committed_values(kafka, topic):
    """Return what a reader of committed records sees, partition by partition."""
    reader = ck.Consumer(
        {
            "bootstrap.servers": kafka.bootstrap,
            "group.id": kafka.new_name(),
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
    )
    partitions = [ck.TopicPartition(topic, n, 0) for n in range(3)]
    reader.assign(partitions)
    values, ends = [], 0
    while ends < len(partitions):
        message = reader.poll(10)
        assert message is not None
        if message.error() is None:
            values.append(message.value())
        else:
            assert message.error().code() == ck.KafkaError._PARTITION_EOF  # noqa: SLF001
            ends += 1
    reader.close()
    return values


@pytest.fixture
def member(kafka, topic):
    member = Member(kafka.transport(), topic, f"{topic}.g")
    member.poll_until(lambda: len(member.starts) == 3)
    yield member
    member.consumer.close()


def test_a_transaction_that_took_too_long_is_sent_by_a_new_producer(
    kafka, topic, member
):
    transport = kafka.transport(
        **{"transaction.timeout.ms": 1000, "delivery.timeout.ms": 1000}
    )
    transactions = transport.transactions(member.consumer)
    slow = transactions._producer  # noqa: SLF001 - no public call is that slow
    slow.begin_transaction()
    slow.produce(topic, b"never")
    slow.flush()

    def timed_out():
        ends = kafka.admin.list_offsets(
            {ck.TopicPartition(topic, n): OffsetSpec.latest() for n in range(3)},
            isolation_level=IsolationLevel.READ_COMMITTED,
        )
        return any(end.result().offset for end in ends.values())

    member.poll_until(timed_out)
    with pytest.raises(RetryableError):
        send(transactions, topic, b"b")
    send(transactions, topic, b"b")
    transactions.close()
    assert committed_values(kafka, topic) == [b"b"]


FENCED = ck.KafkaError(ck.KafkaError._FENCED, fatal=True)  # noqa: SLF001


class _DeafProducer:
    """A producer that does not hear the answer to its commit."""

    def __init__(self, producer):
        self._producer = producer

    def __getattr__(self, name):
        return getattr(self._producer, name)

    def commit_transaction(self, timeout_s):
        self._producer.commit_transaction(timeout_s)
        raise ck.KafkaException(FENCED)


def test_a_commit_whose_answer_was_lost_is_not_sent_twice(kafka, topic, member):
    transactions = kafka.transport().transactions(member.consumer)
    transactions._producer = _DeafProducer(transactions._producer)  # noqa: SLF001
    with pytest.raises(RetryableError, match="not known"):
        send(transactions, topic, b"b")
    send(transactions, topic, b"b")
    send(transactions, topic, b"c", offset=2)
    transactions.close()
    assert committed_values(kafka, topic) == [b"b", b"c"]


class _StuckProducer:
    """A producer one of whose calls never comes back."""

    def __init__(self, producer, call):
        self._producer = producer
        self._call = call
        self.end = threading.Event()

    def __getattr__(self, name):
        if name == self._call:
            return lambda *_: self.end.wait()
        return getattr(self._producer, name)


@pytest.mark.parametrize("call", ["send_offsets_to_transaction", "commit_transaction"])
def test_a_call_that_never_comes_back_is_left_behind(
    kafka, topic, member, call, monkeypatch
):
    monkeypatch.setattr(module, "_GRACE_S", 5 - module._ANSWER_S)  # noqa: SLF001
    transactions = kafka.transport().transactions(member.consumer)
    stuck = _StuckProducer(transactions._producer, call)  # noqa: SLF001
    transactions._producer = stuck  # noqa: SLF001
    with pytest.raises(RetryableError, match="does not come back"):
        send(transactions, topic, b"b")
    monkeypatch.undo()
    send(transactions, topic, b"b")
    transactions.close()
    stuck.end.set()
    assert committed_values(kafka, topic) == [b"b"]


def send_patiently(transactions, topic, value):
    """Send as the emitter does: again, until it works."""
    for _ in range(20):
        try:
            return send(transactions, topic, value)
        except RetryableError:
            time.sleep(0.1)
    return pytest.fail("it is never sent")


def test_a_record_too_large_for_the_broker_leaves_no_trace(kafka, topic, member):
    transactions = kafka.transport().transactions(member.consumer)
    with pytest.raises(TooLargeError):
        send(transactions, topic, b"b", Random(1).randbytes(2_000_000))  # noqa: S311
    send_patiently(transactions, topic, b"c")
    transactions.close()
    assert committed_values(kafka, topic) == [b"c"]


def test_a_committed_offset_out_of_retention_is_an_error(kafka, topic, member):
    producer = kafka.transport().producer()
    producer.send(
        [OutgoingRecord(topic=topic, key=b"k", value=b"%d" % n) for n in range(5)]
    )
    producer.close()
    member.poll_until(lambda: len(member.records) == 5)
    partition = member.records[0].topic_partition
    assert member.consumer.commit({partition: CommitPoint(2)})
    member.consumer.close()
    gone = ck.TopicPartition(topic, partition.partition, 4)
    for deleted in kafka.admin.delete_records([gone]).values():
        deleted.result()

    again = Member(kafka.transport(), topic, f"{topic}.g")
    with pytest.raises(StreamError, match="committed offset is no longer in the topic"):
        again.poll_until(lambda: False)
    again.consumer.close()


def test_a_transport_that_demands_tls_and_a_password_is_served(own_kafka, topic):
    transport = secured(own_kafka)
    producer = transport.producer()
    producer.send([OutgoingRecord(topic=topic, value=b"a")])
    producer.close()
    member = Member(transport, topic, f"{topic}.g")
    member.poll_until(lambda: member.records)
    member.consumer.close()


def secured(kafka, **options):
    return KafkaTransport(
        brokers=kafka.broker.address("SECURED"),
        options={
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": str(kafka.authority),
            "sasl.mechanism": "PLAIN",
            "sasl.username": "streamdiff",
            "sasl.password": "correct horse battery staple",
            "delivery.timeout.ms": 3000,
            "linger.ms": 0,
            "log_level": 4,
            **options,
        },
    )


@pytest.mark.parametrize(
    "options", [{"sasl.password": "wr0ng"}, {"ssl.ca.location": "probe"}]
)
def test_a_wrong_password_or_authority_is_refused_and_no_secret_is_logged(
    own_kafka, topic, options, capfd
):
    producer = secured(own_kafka, **options).producer()
    with pytest.raises((RetryableError, StreamError)) as error:
        producer.send([OutgoingRecord(topic=topic, value=b"a")])
    producer.close()
    told = "".join((str(error.value), *capfd.readouterr()))
    assert "uthentication" in told or "certificate" in told or "SSL" in told
    assert "wr0ng" not in told
    assert "correct horse" not in told
