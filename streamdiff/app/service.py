"""The service: a transport, workers and the runtime, put together."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from streamdiff import log
from streamdiff.adapters.clock import SystemClock
from streamdiff.adapters.http import HealthServer
from streamdiff.adapters.kafka import KafkaTransport
from streamdiff.adapters.workers import Retirement, WorkerPool
from streamdiff.app import wiring
from streamdiff.app.schema_ids import record_ids, schema_ids
from streamdiff.app.signals import stopped_by_signals
from streamdiff.app.start_checks import check_start
from streamdiff.app.topics import consumed_topics, topics_of
from streamdiff.app.worker import make_reporter, start_worker
from streamdiff.config import Settings
from streamdiff.metrics import Metrics
from streamdiff.plugins import Registry
from streamdiff.ports import Executor, Transport
from streamdiff.stream.health import Health
from streamdiff.stream.limits import DeadLetterLimit
from streamdiff.stream.runtime import Runtime
from streamdiff.stream.settings import RuntimeSettings

# The poll thread waits for a coordinator that moves or restarts, 60 s at most.
_MAX_POLL_AGE_S = 120.0


def kafka_transport(settings: Settings) -> KafkaTransport:
    """Return the Kafka cluster of the configuration.

    Raises
    ------
    ConfigError
        If none is named.
    """
    settings.require_brokers()
    options = dict(settings.stream.kafka)
    if settings.stream.instance:
        options.setdefault("group.instance.id", settings.stream.instance)
    if len(consumed_topics(settings)) > 1:
        # Other assignors even out the sum over all topics: who joins later may get
        # template updates alone, and takes part in no visit.
        is_new = options.get("group.protocol") == "consumer"
        key = "group.remote.assignor" if is_new else "partition.assignment.strategy"
        options.setdefault(key, "range")
    return KafkaTransport(brokers=settings.stream.brokers, options=options)


def embedded_partitions(settings: Settings) -> dict[str, int]:
    """Return how many partitions each topic has on the embedded broker.

    Twice as many as workers, so that no worker waits for a busy partition.
    """
    topics = topics_of(settings)
    outputs = (topics.visit_processed, topics.template_rebuilt, topics.dead_letter)
    wide = (topics.visit_ready, topics.template_update, topics.alerts(0, ""))
    return dict.fromkeys(outputs, 1) | dict.fromkeys(wide, 2 * settings.stream.workers)


def runtime_settings(settings: Settings) -> RuntimeSettings:
    """Return the part of the configuration that the runtime needs."""
    stream = settings.stream
    return RuntimeSettings(
        topics=consumed_topics(settings),
        group=stream.group,
        exactly_once=stream.is_exactly_once,
        max_attempts=stream.max_attempts,
        drain_timeout_s=stream.drain_timeout_s,
        dead_letter_limit=DeadLetterLimit(
            ratio=stream.dead_letter_limit.ratio,
            consecutive=stream.dead_letter_limit.consecutive,
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Everything that ``streamdiff run`` starts.

    Attributes
    ----------
    settings : Settings
    registry : Registry
    transport : Transport
    metrics : Metrics
    """

    settings: Settings
    registry: Registry
    transport: Transport
    metrics: Metrics

    def runtime(self, health: Health, executor: Executor | None = None) -> Runtime:
        """Return the runtime; nothing has been started or consumed yet.

        Raises
        ------
        ConfigError, PluginError
            If a plugin or one of its options is not as it must be.
        """
        wiring.check(self.settings, self.registry)
        ids = record_ids(self.settings)
        return Runtime(
            runtime_settings(self.settings),
            transport=self.transport,
            executor=executor or self._pool(ids),
            reporter=make_reporter(self.settings, self.registry, ids),
            clock=SystemClock(),
            metrics=self.metrics,
            health=health,
        )

    def run(self) -> None:
        """Run until a signal asks to stop.

        Raises
        ------
        ConfigError
            If something is not as it must be, before anything is consumed.
        StreamError
            If the stream can not go on.
        """
        check_start(self.settings, self.registry, self.transport)
        health = Health(SystemClock(), max_poll_age_s=_MAX_POLL_AGE_S)
        runtime = self.runtime(health)
        with ExitStack() as stack:
            if self.settings.stream.http:
                stack.enter_context(
                    HealthServer(
                        self.settings.stream.http,
                        health=health,
                        registry=self.metrics.registry,
                    )
                )
            stack.enter_context(stopped_by_signals(runtime.stop, runtime.stop_now))
            runtime.run()

    def _pool(self, ids: Mapping[str, int]) -> WorkerPool:
        stream = self.settings.stream
        return WorkerPool(
            partial(
                start_worker,
                self.settings,
                log_level=log.level(),
                schema_ids=schema_ids(self.settings, self.registry),
                record_ids=ids,
            ),
            workers=stream.workers,
            threads=stream.threads,
            retirement=Retirement(
                orders=stream.worker_max_events, memory_mib=stream.worker_max_mib
            ),
        )
