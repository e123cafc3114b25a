"""What a reader of committed records sees in the end, and whether it is right."""

import math
from collections import Counter, defaultdict

import confluent_kafka as ck
from world import PARTITIONS, TOPICS, Plan

from streamdiff.adapters.avro.events import decode_event
from streamdiff.ports import ConsumedRecord

_PREFIX = "streamdiff.dlq."


def open_reader(brokers: str, topic: str) -> ck.Consumer:
    """Return a reader of what is committed, at the beginning of all partitions."""
    reader = ck.Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": "verdict",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
    )
    reader.assign([ck.TopicPartition(topic, n, 0) for n in range(PARTITIONS)])
    return reader


def read(brokers: str, topic: str) -> list[ConsumedRecord]:
    """Return all committed records of a topic, partition by partition."""
    reader = open_reader(brokers, topic)
    records, ends = [], set()
    while len(ends) < PARTITIONS:
        message = reader.poll(60)
        if message is None:
            raise TimeoutError(f"{topic}: a transaction stays open")
        if message.error() is not None:
            ends.add(message.partition())
            continue
        records.append(
            ConsumedRecord(
                topic=topic,
                partition=message.partition(),
                offset=message.offset(),
                key=message.key(),
                value=message.value(),
                headers=tuple(message.headers() or ()),
            )
        )
    reader.close()
    return records


class Progress:
    """What a group has still to do, asked on the side.

    Without an AdminClient: that of librdkafka 2.16 aborts the whole process when a
    coordinator goes away while it is asked for offsets.
    """

    def __init__(self, brokers: str, group: str) -> None:
        self._client = ck.Consumer(
            {"bootstrap.servers": brokers, "group.id": group, "log_level": 0}
        )
        self._partitions = [
            ck.TopicPartition(TOPICS.visit_ready, n) for n in range(PARTITIONS)
        ]
        self._total = sum(
            self._client.get_watermark_offsets(p, timeout=30)[1]
            for p in self._partitions
        )

    @property
    def left(self) -> float:
        """Return how many events are not committed; inf if that is not known now."""
        return self._total - self.done

    @property
    def done(self) -> float:
        """Return how many events are committed; -inf if that is not known now."""
        try:
            points = self._client.committed(self._partitions, timeout=5)
        except ck.KafkaException:  # a broker that starts or stops
            return -math.inf
        if any(point.error for point in points):
            return -math.inf
        return sum(max(point.offset, 0) for point in points)

    def close(self) -> None:
        """Release the connection."""
        self._client.close()


def judge(brokers: str, plan: Plan, *, exactly_once: bool) -> list[str]:
    """Return what is wrong; nothing if all is as it must be."""
    wrong: list[str] = []

    def check(name, found, expected):
        lost, alien = set(expected) - set(found), set(found) - set(expected)
        repeated = [key for key, times in found.items() if times > 1]
        wrong.extend(f"{name} lost: {key}" for key in lost)
        wrong.extend(f"{name} not expected: {key}" for key in alien)
        if exactly_once:
            wrong.extend(f"{name} repeated: {key}" for key in repeated)

    inputs = read(brokers, TOPICS.visit_ready)
    reports = read(brokers, TOPICS.visit_processed)
    told = [decode_event(record) for record in reports]
    check("report", Counter(r.event_id for r in told), {*plan.n_alerts, *plan.bad})
    for report in told:
        outcome = "failed" if report.event_id in plan.bad else "processed"
        if report.outcome != outcome:
            wrong.append(f"{report.event_id}: {report.outcome} {report.reason}")

    letters = [dict(r.headers) for r in read(brokers, TOPICS.dead_letter)]
    places = Counter(
        tuple(int(h[_PREFIX + part]) for part in ("partition", "offset"))
        for h in letters
    )
    check("dead letter", places, _bad_places(inputs, plan))
    wrong += _judge_alerts(brokers, plan, exactly_once=exactly_once)
    if exactly_once:
        wrong += _judge_order(inputs, reports)
    return wrong


def _bad_places(inputs, plan):
    return {
        (r.partition, r.offset)
        for r in inputs
        if r.value.startswith(b"poison") or decode_event(r).event_id in plan.bad
    }


def _judge_alerts(brokers: str, plan: Plan, *, exactly_once: bool) -> list[str]:
    ids = defaultdict(list)
    for record in read(brokers, TOPICS.alerts(0, "")):
        headers = dict(record.headers)
        event_id = headers["streamdiff.event_id"].decode()
        ids[event_id].append(record.key)
    wrong = [f"alerts of {e}, which failed" for e in ids if e not in plan.n_alerts]
    for event_id, number in plan.n_alerts.items():
        found = ids[event_id]
        if len(set(found)) != number or (exactly_once and len(found) != number):
            wrong.append(f"{event_id}: {len(found)} alerts instead of {number}")
    return wrong


def _judge_order(inputs, reports) -> list[str]:
    """Reports are to come in the order of the events of each partition."""
    place = {}
    for record in inputs:
        if not record.value.startswith(b"poison"):
            place[decode_event(record).event_id] = (record.partition, record.offset)
    wrong, last = [], {}
    for report in reports:
        event_id = decode_event(report).event_id
        partition, offset = place[event_id]
        if offset <= last.get(partition, -1):
            wrong.append(f"{event_id} is reported out of order")
        last[partition] = offset
    return wrong
