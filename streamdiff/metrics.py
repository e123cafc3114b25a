"""The closed list of metrics, as Prometheus scrapes them from ``/metrics``.

Dashboards and alarms rely on these names: add, never rename.
"""

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
)

_SECONDS = (0.1, 0.3, 1, 3, 10, 30, 60, 120, 300, 600, 1800, 3600)


class Metrics:
    """The metrics of one process.

    Parameters
    ----------
    registry : CollectorRegistry
        Where they are registered; that of the process by default, which also
        holds ``process_*`` and ``python_*``.

    Attributes
    ----------
    events : Counter [topic, outcome, reason]
        Events finished and sent; outcome ``none`` for records that are no event.
    event_seconds : Histogram [topic]
        From the first dispatch of an event until its records were acknowledged.
    latency_seconds : Histogram [topic]
        From the timestamp of a record until its results were acknowledged.
    stage_seconds : Histogram [stage]
        Time spent in one stage of the pipeline.
    retries : Counter [topic, reason]
        Tries that failed and were followed by another one.
    dead_letters : Counter [topic, reason]
        Events given up.
    records_sent : Counter [topic]
        Records acknowledged by the broker.
    send_failures, commit_failures : Counter
        Refused by the broker; both are tried again.
    rebalances : Counter [kind]
        Kind ``assigned``, ``revoked`` or ``lost``.
    abandoned : Counter
        Events whose work was dropped because their partition went away.
    partitions, partitions_paused : Gauge
        Held by this process; held but not fetched because their queue is full.
    events_waiting, events_in_work : Gauge
        Read but not dispatched; with a worker.
    workers : Gauge
        Size of the worker pool.
    workers_lost : Counter [reason]
        Workers killed after a ``timeout``, or found dead: ``worker_died``.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.registry = registry
        self.events = self._counter(
            "events", "Events finished and sent", "topic", "outcome", "reason"
        )
        self.event_seconds = self._histogram(
            "event_seconds", "Dispatch to acknowledgement", "topic"
        )
        self.latency_seconds = self._histogram(
            "latency_seconds", "Record timestamp to acknowledgement", "topic"
        )
        self.stage_seconds = self._histogram(
            "stage_seconds", "Time spent in a stage", "stage"
        )
        self.retries = self._counter("retries", "Tries followed by another", *_CAUSE)
        self.dead_letters = self._counter("dead_letters", "Events given up", *_CAUSE)
        self.records_sent = self._counter(
            "records_sent", "Records acknowledged by the broker", "topic"
        )
        self.send_failures = self._counter("send_failures", "Sends refused")
        self.commit_failures = self._counter("commit_failures", "Commits refused")
        self.rebalances = self._counter("rebalances", "Changes of assignment", "kind")
        self.abandoned = self._counter("abandoned", "Events whose work was dropped")
        self.partitions = self._gauge("partitions", "Partitions held")
        self.partitions_paused = self._gauge("partitions_paused", "Partitions paused")
        self.events_waiting = self._gauge("events_waiting", "Read, not dispatched")
        self.events_in_work = self._gauge("events_in_work", "Events with a worker")
        self.workers = self._gauge("workers", "Size of the worker pool")
        self.workers_lost = self._counter(
            "workers_lost", "Workers killed or found dead", "reason"
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"streamdiff_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"streamdiff_{name}", text, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(
            f"streamdiff_{name}",
            text,
            labels,
            registry=self.registry,
            buckets=_SECONDS,
        )


_CAUSE = ("topic", "reason")
