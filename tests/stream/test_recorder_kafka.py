"""Recording from a real Kafka: transactions, groups that are ahead, restarts."""

import confluent_kafka as ck
import pytest

from streamdiff.adapters.archive.folder import Archive, RollLimits
from streamdiff.adapters.archive.verify import verify
from streamdiff.adapters.clock import SystemClock
from streamdiff.adapters.event_log import log_files, read_log
from streamdiff.ports import CommitPoint, OutgoingRecord
from streamdiff.stream.recorder import Recorder

pytestmark = pytest.mark.kafka


@pytest.fixture
def topic(kafka):
    name = kafka.new_name()
    kafka.create({name: 1})
    return name


@pytest.fixture
def record(kafka, topic, tmp_path):
    """Record what there is, and return the folder."""

    def record():
        folder, clock = tmp_path / "archive", SystemClock()
        with Archive(folder, limits=RollLimits(), clock=clock) as archive:
            Recorder(
                kafka.transport(),
                archive,
                topics=[topic, f"{topic}.that.is.not.there"],
                group=f"{topic}.g",
                clock=clock,
            ).run(until_idle_s=1.0)
        return folder

    return record


@pytest.fixture
def transact(kafka, topic):
    """Send values in a transaction, and end it."""
    producer = ck.Producer(
        {"bootstrap.servers": kafka.bootstrap, "transactional.id": topic}
    )
    producer.init_transactions()

    def transact(*values, commit=True):
        producer.begin_transaction()
        for value in values:
            producer.produce(topic, value=value)
        producer.flush()
        if commit:
            producer.commit_transaction()
        else:
            producer.abort_transaction()

    return transact


def values(records):
    return [record.value for record in records]


def recorded(folder):
    return [record for path in log_files([folder]) for record in read_log(path)]


def test_only_what_was_committed_is_recorded(kafka, topic, transact, record):
    transact(b"a", b"b")
    transact(b"c")
    transact(b"x", b"y", commit=False)
    transact(b"d")
    folder = record()
    assert values(recorded(folder)) == [b"a", b"b", b"c", b"d"]
    assert list(kafka.transport().read_all(topic)) == recorded(folder)
    found = verify(log_files([folder]))
    assert found.is_whole
    (partition,) = found.partitions
    # one marker alone; then one, two records and their marker
    assert (partition.markers, partition.within, partition.missing) == (1, 1, 4)


def test_a_restart_goes_on_and_no_gap_is_told(transact, record):
    for values_ in ([b"a"], [b"b", b"c"], [b"d"]):
        transact(*values_)
        folder = record()
    assert values(recorded(folder)) == [b"a", b"b", b"c", b"d"]
    (partition,) = verify(log_files([folder])).partitions
    assert (partition.markers, partition.within, partition.between) == (2, 0, 0)


def test_a_group_ahead_of_the_archive_is_put_back(kafka, topic, record):
    producer = kafka.transport().producer()
    producer.send([OutgoingRecord(topic=topic, value=b"%d" % n) for n in range(3)])
    record()
    producer.send([OutgoingRecord(topic=topic, value=b"%d" % n) for n in range(3, 9)])
    member = kafka.transport().consumer(f"{topic}.g")
    got = []
    member.subscribe([topic], on_assign=id, on_revoke=id, on_lost=id)
    while len(got) < 6:
        got += filter(None, [member.poll(1.0)])
    assert member.commit({got[0].topic_partition: CommitPoint(9)})
    member.close()
    producer.close()
    assert values(recorded(record())) == [b"%d" % n for n in range(9)]
