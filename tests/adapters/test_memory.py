import pytest
from transport_contract import TransactionsContract

from streamdiff.adapters.memory import MemoryBroker, MemoryTransport
from streamdiff.ports import CommitPoint, OutgoingRecord, TopicPartition
from streamdiff.testing.stream import FakeClock


@pytest.fixture
def broker():
    return MemoryBroker({"in": 3}, clock=FakeClock())


@pytest.fixture
def topic():
    return "in"


@pytest.fixture
def transport(broker):
    return MemoryTransport(broker)


class TestMemoryTransport(TransactionsContract):
    pass


def join(transport, **callbacks):
    consumer = transport.consumer("g")
    nothing = {"on_assign": id, "on_revoke": id, "on_lost": id}
    consumer.subscribe(["in"], **nothing | callbacks)
    consumer.poll(0)
    return consumer


def test_an_expired_member_is_told_that_it_lost_its_partitions(transport):
    lost = []
    consumer = join(transport, on_lost=lost.extend)
    consumer.expire()
    consumer.poll(0)
    assert len(lost) == 3


def test_an_expired_member_can_not_commit(transport):
    consumer = join(transport)
    consumer.expire()
    assert not consumer.commit({TopicPartition("in", 0): CommitPoint(1)})


def test_timestamps_are_those_of_the_clock(broker):
    broker.produce(OutgoingRecord(topic="in", value=b"a"))
    assert broker.records("in")[0].timestamp_ms == 1_000_000_000


def test_a_topic_is_made_when_first_used(broker):
    broker.produce(OutgoingRecord(topic="new", key=b"k", value=b"a"))
    assert [r.partition for r in broker.records("new")] == [0]
