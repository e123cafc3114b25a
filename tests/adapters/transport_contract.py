"""What every transport promises; a test class for each of them inherits this."""

import pytest

from streamdiff.errors import RetryableError
from streamdiff.ports import CommitPoint, OutgoingRecord, TopicPartition


class Member:
    """A consumer that remembers what its callbacks were told."""

    def __init__(self, transport, topic, group):
        self.consumer = transport.consumer(group)
        self.starts, self.revoked, self.lost, self.records = {}, [], [], []
        self.consumer.subscribe(
            [topic],
            on_assign=self.starts.update,
            on_revoke=self.revoked.extend,
            on_lost=self.lost.extend,
        )

    def poll_until(self, condition, others=()):
        for _ in range(1500):
            for member in (self, *others):
                record = member.consumer.poll(0.02)
                if record is not None:
                    member.records.append(record)
            if condition():
                return
        pytest.fail("it does not come true")


class TransportContract:
    """Needs fixtures ``transport`` and ``topic``, the name of one of 3 partitions."""

    @pytest.fixture
    def join(self, transport, topic):
        members = []

        def join(group=f"{topic}.g"):
            members.append(Member(transport, topic, group))
            return members[-1]

        yield join
        for member in members:
            member.consumer.close()

    @pytest.fixture
    def send(self, transport, topic):
        producer = transport.producer()
        yield lambda *values, **options: producer.send(
            [OutgoingRecord(topic=topic, key=v, value=v, **options) for v in values]
        )
        producer.close()

    def test_a_member_gets_all_partitions_and_no_start_without_a_commit(self, join):
        member = join()
        member.poll_until(lambda: len(member.starts) == 3)
        assert set(member.starts.values()) == {None}

    def test_records_arrive_bit_for_bit(self, join, send):
        headers = (("a", b"\xff\x00"), ("none", None), ("a", b"again"))
        send(b"\x00value", headers=headers)
        member = join()
        member.poll_until(lambda: member.records)
        (record,) = member.records
        assert (record.key, record.value) == (b"\x00value", b"\x00value")
        assert record.headers == headers
        assert record.offset == 0
        assert record.timestamp_ms > 0

    def test_a_record_without_key_and_value_arrives(self, transport, topic, join):
        producer = transport.producer()
        producer.send([OutgoingRecord(topic=topic, value=None)])
        producer.close()
        member = join()
        member.poll_until(lambda: member.records)
        assert (member.records[0].key, member.records[0].value) == (None, None)

    def test_reading_starts_at_the_earliest_record(self, join, send):
        values = [b"%d" % i for i in range(30)]
        send(*values)
        member = join()
        member.poll_until(lambda: len(member.records) == 30)
        assert {r.value for r in member.records} == set(values)

    def test_one_key_keeps_its_order(self, join, send):
        for _ in range(10):
            send(b"k")
        member = join()
        member.poll_until(lambda: len(member.records) == 10)
        assert [r.offset for r in member.records] == list(range(10))

    def test_commit_points_keep_their_metadata(self, join, send):
        send(b"a")
        member = join()
        member.poll_until(lambda: member.records)
        partition = member.records[0].topic_partition
        point = CommitPoint(1, '{"attempt": 2}')
        assert member.consumer.commit({partition: point})
        assert member.consumer.committed([partition]) == {partition: point}
        untouched = TopicPartition(partition.topic, (partition.partition + 1) % 3)
        assert member.consumer.committed([untouched]) == {}

    def test_the_next_member_starts_where_the_group_stands(self, join, send):
        send(b"a")
        first = join()
        first.poll_until(lambda: first.records)
        partition = first.records[0].topic_partition
        first.consumer.commit({partition: CommitPoint(1, "note")})
        first.consumer.close()
        assert set(first.revoked) >= {partition}

        send(b"a")
        second = join()
        second.poll_until(lambda: second.records)
        assert second.starts[partition] == CommitPoint(1, "note")
        assert [r.offset for r in second.records] == [1]

    def test_a_paused_partition_is_not_read(self, join, send):
        member = join()
        member.poll_until(lambda: len(member.starts) == 3)
        member.consumer.pause(member.starts)
        send(b"a")
        for _ in range(10):
            assert member.consumer.poll(0.02) is None
        member.consumer.resume(member.starts)
        member.poll_until(lambda: member.records)

    def test_a_second_member_takes_over_some_partitions(self, join):
        first = join()
        first.poll_until(lambda: len(first.starts) == 3)
        second = join()
        second.poll_until(lambda: second.starts, others=[first])
        assert {*first.revoked, *first.lost} >= set(second.starts)

    def test_a_commit_in_the_revoke_callback_is_kept(
        self, transport, topic, join, send
    ):
        send(b"a")
        consumer = transport.consumer(f"{topic}.g")
        got, commits = [], []

        def revoked(partitions):
            points = {p: CommitPoint(1) for p in partitions if p in got}
            commits.append(consumer.commit(points) if points else None)

        consumer.subscribe(
            [topic], on_assign=lambda _: None, on_revoke=revoked, on_lost=lambda _: None
        )
        for _ in range(500):
            if record := consumer.poll(0.02):
                got.append(record.topic_partition)
                break
        consumer.close()
        assert commits == [True]
        member = join()
        member.poll_until(lambda: len(member.starts) == 3)
        assert member.starts[got[0]] == CommitPoint(1)

    def test_groups_do_not_disturb_each_other(self, join, send, topic):
        send(b"a")
        one, two = (join(group=f"{topic}.{n}") for n in range(2))
        one.poll_until(lambda: one.records and two.records, others=[two])


class TransactionsContract(TransportContract):
    """Needs the same as `TransportContract`."""

    @pytest.fixture
    def member(self, join, send):
        """Return a member that has read the one record that there is."""
        send(b"a")
        member = join()
        member.poll_until(lambda: member.records)
        return member

    @pytest.fixture
    def transact(self, transport, topic, member):
        """Send some values together with the offset behind the member's record."""
        transactions = transport.transactions(member.consumer)

        def transact(*values, is_ours=lambda: True):
            transactions.send(
                [OutgoingRecord(topic=topic, key=b"out", value=v) for v in values],
                {member.records[0].topic_partition: CommitPoint(1)},
                is_ours=is_ours,
            )

        yield transact
        transactions.close()

    @staticmethod
    def values(member):
        return [r.value for r in member.records if r.key == b"out"]

    @staticmethod
    def commits(member):
        found = member.consumer.committed([member.records[0].topic_partition])
        return {point.offset for point in found.values()}

    def test_records_and_commit_points_count_together(self, member, transact):
        assert self.commits(member) == set()
        transact(b"b", b"c")
        member.poll_until(lambda: len(self.values(member)) == 2)
        assert self.values(member) == [b"b", b"c"]
        assert self.commits(member) == {1}

    def test_neither_counts_where_the_partition_is_gone(self, member, transact):
        with pytest.raises(RetryableError, match="not ours"):
            transact(b"b", is_ours=lambda: False)
        assert self.commits(member) == set()
        transact(b"c")
        member.poll_until(lambda: self.values(member))
        assert self.values(member) == [b"c"]

    def test_the_commit_point_alone_can_be_sent(self, member, transact):
        transact()
        assert self.commits(member) == {1}

    def test_who_has_left_the_group_commits_nothing(self, member, transact, join):
        member.consumer.close()
        with pytest.raises(RetryableError):
            transact(b"b")
        other = join()
        other.poll_until(lambda: len(other.starts) == 3 and other.records)
        assert set(other.starts.values()) == {None}
        assert self.values(other) == []
