import os
import signal

import pytest
from prometheus_client import CollectorRegistry

from streamdiff.adapters.clock import SystemClock
from streamdiff.adapters.memory import MemoryBroker, MemoryTransport
from streamdiff.app import service as module
from streamdiff.app.environment import find_plugins
from streamdiff.app.service import (
    Service,
    consumed_topics,
    embedded_partitions,
    kafka_transport,
    runtime_settings,
)
from streamdiff.config import from_tree
from streamdiff.errors import ConfigError
from streamdiff.metrics import Metrics
from streamdiff.stream.health import Health

STRATEGY = "partition.assignment.strategy"


def settings(**stream):
    return from_tree(
        {
            "stream": {"topic_prefix": "s.", "http": "", **stream},
            "store": {"uri": "memory://templates"},
        }
    )


def service(chosen):
    return Service(
        settings=chosen,
        registry=find_plugins(),
        transport=MemoryTransport(MemoryBroker({}, clock=SystemClock())),
        metrics=Metrics(CollectorRegistry()),
    )


@pytest.mark.parametrize(
    ("only", "topics"),
    [
        ("all", {"s.visit-ready": 10, "s.template-update": 20}),
        ("visits", {"s.visit-ready": 10}),
        ("templates", {"s.template-update": 20}),
    ],
)
def test_what_is_consumed_can_be_limited_to_one_kind(only, topics):
    chosen = settings(only=only, visit_timeout_s=10, template_timeout_s=20)
    assert consumed_topics(chosen) == topics


@pytest.mark.parametrize(
    ("stream", "options"),
    [
        ({}, {STRATEGY: "range"}),
        ({"only": "visits"}, {}),
        ({"kafka": {STRATEGY: "roundrobin"}}, {STRATEGY: "roundrobin"}),
        (
            {"kafka": {"group.protocol": "consumer"}},
            {"group.protocol": "consumer", "group.remote.assignor": "range"},
        ),
    ],
)
def test_members_of_a_group_share_each_topic(stream, options):
    transport = kafka_transport(settings(brokers="k:9092", **stream))
    assert transport.options == options


def test_the_runtime_gets_its_part_of_the_configuration():
    limit = {"ratio": 0.25, "consecutive": 4}
    made = runtime_settings(
        settings(group="g", max_attempts=7, drain_timeout_s=8, dead_letter_limit=limit)
    )
    assert (made.group, made.max_attempts, made.drain_timeout_s) == ("g", 7, 8)
    assert made.dead_letter_limit.ratio == 0.25
    assert made.dead_letter_limit.consecutive == 4


def test_no_worker_waits_for_a_partition_of_the_embedded_broker():
    partitions = embedded_partitions(settings(workers=3))
    assert partitions["s.visit-ready"] == partitions["s.template-update"] == 6
    assert partitions["s.dead-letter"] == 1


def test_a_name_makes_a_static_member():
    made = kafka_transport(settings(brokers="host:1", instance="one"))
    assert made.options["group.instance.id"] == "one"
    unnamed = kafka_transport(settings(brokers="host:1"))
    assert "group.instance.id" not in unnamed.options


@pytest.mark.parametrize("transport", ["kafka", "embedded"])
def test_results_and_offsets_go_together_where_that_can_be(transport):
    made = runtime_settings(settings(transport=transport))
    assert made.exactly_once is (transport == "kafka")


def test_a_cluster_must_be_named():
    with pytest.raises(ConfigError, match="brokers: required"):
        kafka_transport(settings())


def test_a_service_that_could_not_work_is_refused_before_it_consumes():
    chosen = from_tree(
        {"store": {"uri": "memory://t", "skymap": {"patch_pixels": 100}}}
    )
    with pytest.raises(ConfigError, match="skymap"):
        service(chosen).runtime(Health(SystemClock()))


class SignalledRuntime:
    """A runtime that is sent signals while it runs, and notes what they ask."""

    def __init__(self, *signals):
        self.signals = signals
        self.asked = []

    def run(self):
        for number in self.signals:
            os.kill(os.getpid(), number)

    def stop(self):
        self.asked.append("stop")

    def stop_now(self):
        self.asked.append("stop at once")


@pytest.mark.parametrize(
    ("signals", "asked"),
    [
        ([signal.SIGTERM], ["stop"]),
        ([signal.SIGINT], ["stop"]),
        ([signal.SIGTERM, signal.SIGTERM], ["stop", "stop at once"]),
        ([signal.SIGINT, signal.SIGTERM], ["stop", "stop at once"]),
    ],
)
def test_the_first_signal_stops_and_the_second_at_once(monkeypatch, signals, asked):
    runtime = SignalledRuntime(*signals)
    monkeypatch.setattr(Service, "runtime", lambda *_: runtime)
    before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
    service(settings()).run()
    assert runtime.asked == asked
    after = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
    assert after == before


def test_health_is_served_while_it_runs(monkeypatch):
    served = []

    class Server:
        def __init__(self, address, **_):
            self.address = address

        def __enter__(self):
            served.append(self.address)

        def __exit__(self, *_):
            served.append("closed")

    monkeypatch.setattr(module, "HealthServer", Server)
    monkeypatch.setattr(Service, "runtime", lambda *_: SignalledRuntime())
    service(settings(http="127.0.0.1:0")).run()
    assert served == ["127.0.0.1:0", "closed"]
