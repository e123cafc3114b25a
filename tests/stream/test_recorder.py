"""Topics are recorded without gaps and without repeats."""

import shutil

import pytest

from streamdiff.adapters.archive.folder import Archive, RollLimits
from streamdiff.adapters.event_log import log_files, read_log
from streamdiff.adapters.memory import MemoryBroker, MemoryTransport
from streamdiff.errors import StreamError
from streamdiff.ports import CommitPoint, OutgoingRecord, TopicPartition
from streamdiff.stream.recorder import Recorder
from streamdiff.testing.stream import FakeClock


class TimedConsumer:
    """A consumer for which time passes while nothing comes."""

    def __init__(self, bench, consumer):
        self.bench, self.consumer = bench, consumer

    def __getattr__(self, name):
        return getattr(self.consumer, name)

    def poll(self, timeout_s):
        self.bench.polls += 1
        self.bench.before_poll(self.bench.polls)
        record = self.consumer.poll(0)
        if record is None:
            self.bench.clock.advance(timeout_s)
        return record

    def commit(self, offsets):
        return not self.bench.refuses_commits and self.consumer.commit(offsets)


class Bench:
    """A broker in memory, a folder to record into, and a transport between them."""

    def __init__(self, folder):
        self.clock = FakeClock()
        self.broker = MemoryBroker({"in": 3, "other": 1}, clock=self.clock)
        self.folder = folder
        self.polls = 0
        self.before_poll = lambda number: None
        self.refuses_commits = False

    def consumer(self, group):
        return TimedConsumer(self, MemoryTransport(self.broker).consumer(group))

    def publish(self, number, topic="in"):
        for n in range(number):
            key = b"%d" % n
            self.broker.produce(OutgoingRecord(topic=topic, key=key, value=key))

    def record(self, *, until_idle_s=2.0, topics=("in",), **options):
        limits = RollLimits(block_bytes=500)
        self.polls = 0
        with Archive(self.folder, limits=limits, clock=self.clock) as archive:
            self.recorder = Recorder(
                self, archive, topics=topics, group="g", clock=self.clock, **options
            )
            self.recorder.run(until_idle_s=until_idle_s)

    def recorded(self):
        records = [r for path in log_files([self.folder]) for r in read_log(path)]
        return sorted(records, key=lambda r: (r.topic, r.partition, r.offset))

    def committed(self):
        return {p.partition: c.offset for p, c in self.broker.committed("g").items()}

    def ends(self):
        ends = {}
        for record in self.recorded():
            ends[record.partition] = record.offset + 1
        return ends


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path / "archive")


def test_topics_are_recorded_bit_for_bit(bench):
    bench.publish(100)
    headers = (("a", b"\xff"), ("a", None))
    bench.broker.produce(OutgoingRecord(topic="other", value=None, headers=headers))
    bench.record(topics=["in", "other"])
    expected = bench.broker.records("in") + bench.broker.records("other")
    assert bench.recorded() == expected


def test_the_group_stands_where_the_archive_ends(bench):
    bench.publish(100)
    bench.record()
    assert bench.committed() == bench.ends()


def test_a_second_run_goes_on(bench):
    for _ in range(3):
        bench.publish(20)
        bench.record()
    assert bench.recorded() == bench.broker.records("in")
    assert len(log_files([bench.folder])) == 3


def test_what_could_not_be_committed_is_not_recorded_twice(bench):
    bench.publish(50)
    bench.refuses_commits = True
    bench.record()
    assert bench.committed() == {}
    bench.refuses_commits = False
    bench.publish(1)
    bench.record()
    assert bench.recorded() == bench.broker.records("in")
    assert bench.committed()


def test_a_stop_keeps_what_was_read(bench):
    bench.publish(100)
    bench.before_poll = lambda number: number == 30 and bench.recorder.stop()
    bench.record()
    assert len(bench.recorded()) == 30
    assert bench.committed() == bench.ends()


def test_an_error_of_the_stream_keeps_what_was_read(bench):
    def fail(number):
        if number == 30:
            raise StreamError("refused")

    bench.publish(100)
    bench.before_poll = fail
    with pytest.raises(StreamError):
        bench.record()
    assert len(bench.recorded()) == 29


def test_a_group_ahead_of_the_archive_is_put_back(bench):
    bench.publish(100)
    bench.before_poll = lambda number: number == 40 and bench.recorder.stop()
    bench.record()
    kept = bench.folder.with_name("kept")
    shutil.copytree(bench.folder, kept)
    bench.before_poll = lambda number: None
    bench.record()
    shutil.rmtree(bench.folder)
    kept.rename(bench.folder)  # a backup: half of it is missing
    bench.publish(10)
    bench.record()
    assert bench.recorded() == bench.broker.records("in")
    assert bench.committed() == bench.ends()


def test_what_is_gone_after_that_is_told(bench):
    def fail(number):
        if number > 1:
            raise StreamError("offset 10 is gone")

    bench.publish(30)
    bench.record()
    points = {p: CommitPoint(c + 1) for p, c in places(bench.committed()).items()}
    commit_elsewhere(bench, points)
    bench.before_poll = fail
    with pytest.raises(StreamError, match=r"is gone\. .* accept gaps"):
        bench.record()


def test_gaps_can_be_accepted(bench):
    bench.publish(100)
    bench.record()
    bench.publish(30)
    points = {p: CommitPoint(c + 5) for p, c in places(bench.committed()).items()}
    commit_elsewhere(bench, points)
    bench.record(accept_gaps=True)
    assert len(bench.recorded()) == 130 - 3 * 5


def places(committed):
    return {TopicPartition("in", p): offset for p, offset in committed.items()}


def commit_elsewhere(bench, points):
    consumer = MemoryTransport(bench.broker).consumer("g")
    consumer.subscribe(["in"], on_assign=id, on_revoke=id, on_lost=id)
    consumer.poll(0)
    assert consumer.commit(points)
    consumer.close()


def test_a_new_folder_begins_where_the_group_stands(bench):
    bench.publish(20)
    bench.record()
    bench.folder = bench.folder.with_name("next night")
    bench.publish(5)
    bench.record()
    assert len(bench.recorded()) == 5


def test_partitions_that_are_lost_are_not_committed(bench):
    """Another member may own them; what was read of them is kept all the same."""

    def expire(number):
        if number == 20:
            (member,) = bench.broker.group("g").topics
            member.expire()

    bench.publish(100)
    bench.before_poll = expire
    bench.record()
    assert bench.recorded() == bench.broker.records("in")


def test_nothing_to_read_is_an_error(bench):
    """The other member has all partitions, and no record comes."""
    other = MemoryTransport(bench.broker).consumer("g")
    other.subscribe(["in"], on_assign=id, on_revoke=id, on_lost=id)
    other.poll(0)
    with pytest.raises(StreamError, match="no partition of in came"):
        bench.record()
    assert not bench.folder.joinpath("000001.avro").exists()


def test_a_quiet_topic_is_no_error(bench):
    bench.record()
    assert not bench.folder.joinpath("000001.avro").exists()
