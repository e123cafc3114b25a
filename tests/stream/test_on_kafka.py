"""The runtime on a real Kafka: members come and go, nothing counts twice."""

import threading
import time
from collections import Counter

import confluent_kafka as ck
import pytest
from prometheus_client import CollectorRegistry

from streamdiff.adapters.clock import SystemClock
from streamdiff.adapters.workers import InlineExecutor
from streamdiff.metrics import Metrics
from streamdiff.ports import OutgoingRecord
from streamdiff.stream.limits import DeadLetterLimit
from streamdiff.stream.runtime import Runtime
from streamdiff.stream.settings import RuntimeSettings
from streamdiff.testing.stream import EchoHandler, PlainReporter

pytestmark = pytest.mark.kafka

PARTITIONS, PER_PARTITION = 4, 30


class SlowEcho:
    """Answers after a while, so that members come while work is to be done."""

    def __init__(self, topic):
        self._echo = EchoHandler(topic=topic)

    def __call__(self, order):
        time.sleep(0.02)  # the work itself
        return self._echo(order)


class Member(threading.Thread):
    """A runtime in a thread of its own."""

    def __init__(self, transport, topics, *, exactly_once):
        super().__init__()
        source, out, letters = topics
        self.runtime = Runtime(
            RuntimeSettings(
                topics={source: 60.0},
                group=source,
                exactly_once=exactly_once,
                dead_letter_limit=DeadLetterLimit(ratio=1, consecutive=0),
            ),
            transport=transport,
            executor=InlineExecutor(lambda: SlowEcho(out)),
            reporter=PlainReporter(topic=letters),
            clock=SystemClock(),
            metrics=Metrics(CollectorRegistry()),
        )
        self.error = None

    def run(self):
        try:
            self.runtime.run()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.error = error

    def finish(self):
        self.runtime.stop()
        self.join(60)
        assert not self.is_alive()
        assert self.error is None


class Reader:
    """Reads committed records as they come."""

    def __init__(self, kafka, topics):
        self._consumer = ck.Consumer(
            {
                "bootstrap.servers": kafka.bootstrap,
                "group.id": kafka.new_name(),
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
            }
        )
        self._consumer.assign(
            [ck.TopicPartition(t, n, 0) for t in topics for n in range(PARTITIONS)]
        )
        self.values = []

    def until(self, number):
        while len(set(self.values)) < number:
            message = self._consumer.poll(30)
            assert message is not None, Counter(self.values)
            self.values.append(message.value())

    def rest(self):
        """Read on for a moment: what should not come may come late."""
        while (message := self._consumer.poll(1.0)) is not None:
            self.values.append(message.value())
        self._consumer.close()
        return self.values


@pytest.mark.parametrize(
    "options",
    [
        {"partition.assignment.strategy": "cooperative-sticky"},
        {"partition.assignment.strategy": "range"},
        {"group.protocol": "consumer"},
    ],
    ids=["cooperative", "range", "new-protocol"],
)
@pytest.mark.parametrize("exactly_once", [True, False])
def test_every_event_is_answered_while_members_come_and_go(
    kafka, options, exactly_once
):
    topics = [kafka.new_name() for _ in range(3)]
    kafka.create(dict.fromkeys(topics, PARTITIONS))
    values = [b"%d" % n for n in range(PARTITIONS * PER_PARTITION - 1)] + [b"fail"]
    producer = kafka.transport().producer()
    producer.send([OutgoingRecord(topic=topics[0], key=v, value=v) for v in values])
    producer.close()
    reader = Reader(kafka, topics[1:])

    def join():
        transport = kafka.transport(**options)
        member = Member(transport, topics, exactly_once=exactly_once)
        member.start()
        return member

    first = join()
    reader.until(10)
    second = join()
    reader.until(60)
    first.finish()
    third = join()
    reader.until(len(values))
    for member in (second, third):
        member.finish()
    found = reader.rest()
    assert set(found) == set(values)
    assert not exactly_once or len(found) == len(values)
