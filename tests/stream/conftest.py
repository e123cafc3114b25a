import time
from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry

from streamdiff.adapters.memory import MemoryBroker, MemoryTransport
from streamdiff.adapters.workers import InlineExecutor
from streamdiff.metrics import Metrics
from streamdiff.ports import OutgoingRecord
from streamdiff.stream.health import Health
from streamdiff.stream.limits import DeadLetterLimit
from streamdiff.stream.retry import Backoff
from streamdiff.stream.runtime import Runtime
from streamdiff.stream.settings import RuntimeSettings
from streamdiff.testing.stream import (
    FakeClock,
    FlakyProducer,
    FlakyTransactions,
    ManualExecutor,
    PlainReporter,
    make_echo_handler,
)

AT_ONCE = Backoff(first_s=0.0)
# not at once: an emitter that tries without a pause leaves the poll thread no time
SOON = Backoff(first_s=0.001, longest_s=0.01)
# The emitter is a thread: steps of a script say nothing of how far it has come.
_HOPELESS_S = 60.0


@dataclass
class Bench:
    """A broker in memory, and runtimes that are driven step by step."""

    clock: FakeClock = field(default_factory=FakeClock)
    executor: ManualExecutor = field(default_factory=ManualExecutor)

    def __post_init__(self):
        self.broker = MemoryBroker({"in": 4, "out": 1}, clock=self.clock)
        self.transport = MemoryTransport(self.broker)
        self.metrics = Metrics(CollectorRegistry())
        self.health = Health(self.clock)

    def publish(self, *values, partition=None, topic="in"):
        for value in values:
            record = OutgoingRecord(topic=topic, key=value, value=value)
            self.broker.produce(record, partition=partition)

    def runtime(self, executor=None, transport=None, reporter=None, **changes):
        settings = {
            "topics": {"in": 60.0},
            "group": "g",
            "poll_timeout_s": 0.001,
            "work_backoff": AT_ONCE,
            "send_backoff": SOON,
            "dead_letter_limit": DeadLetterLimit(ratio=1, consecutive=0),
        }
        return Runtime(
            RuntimeSettings(**settings | changes),
            transport=transport or self.transport,
            executor=executor or self.executor,
            reporter=reporter or PlainReporter(),
            clock=self.clock,
            metrics=self.metrics,
            health=self.health,
        )

    @staticmethod
    def inline():
        """Return an executor that ends work as soon as it is given it."""
        return InlineExecutor(make_echo_handler)

    def flaky(self, errors):
        """Return a transport whose producer fails so, and that producer."""
        producer = FlakyProducer(self.transport.producer().send, errors)

        class Transport:
            consumer = staticmethod(self.transport.consumer)

            @staticmethod
            def producer():
                return producer

            @staticmethod
            def transactions(consumer):
                real = self.transport.transactions(consumer)
                return FlakyTransactions(real, errors, seen=producer.seen)

        return Transport, producer

    @staticmethod
    def header(record, name):
        return dict(record.headers)[name].decode()

    def values(self, topic="out"):
        return [r.value for r in self.broker.records(topic)]

    def offset(self, partition, topic="in"):
        committed = self.broker.committed("g")
        return {
            p.partition: c.offset for p, c in committed.items() if p.topic == topic
        }.get(partition, 0)

    def metric(self, name, **labels):
        return self.metrics.registry.get_sample_value(f"streamdiff_{name}", labels)


class Script:
    """Drives a runtime: each step of a generator runs between two of its steps."""

    def __init__(self, steps):
        self._steps = steps()

    def __call__(self):
        return next(self._steps, "end") == "end"


def _until(condition):
    deadline_s = time.monotonic() + _HOPELESS_S
    while not condition():
        if time.monotonic() > deadline_s:
            pytest.fail("it does not come true")
        yield


@pytest.fixture
def until():
    """Let the runtime make steps until something is true; a bug ends the test."""
    return _until


@pytest.fixture
def bench():
    return Bench()


@pytest.fixture
def script():
    return Script


@pytest.fixture
def fresh_bench():
    return Bench
