"""Runs a simulated survey through the embedded broker and the real service."""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from streamdiff.adapters.archive.folder import RollLimits
from streamdiff.adapters.avro.container import write_alerts
from streamdiff.adapters.avro.events import encode_event, message_key
from streamdiff.adapters.clock import SystemClock
from streamdiff.adapters.embedded import EmbeddedBroker
from streamdiff.app.demo.collector import Collector
from streamdiff.app.demo.files import template_update, write_exposures
from streamdiff.app.demo.score import VisitScore, score_visit
from streamdiff.app.demo.settings import SUBTRACTORS, written_settings
from streamdiff.app.progress import Progress
from streamdiff.app.recording import record, recorded_topics
from streamdiff.app.service import Service, embedded_partitions
from streamdiff.app.topics import topics_of
from streamdiff.app.wiring import sky_map
from streamdiff.config import Settings
from streamdiff.errors import StreamError
from streamdiff.imaging.skymap import Tessellation
from streamdiff.metrics import Metrics
from streamdiff.model import (
    Exposure,
    Outcome,
    Reason,
    TemplateRebuilt,
    TemplateUpdate,
    VisitProcessed,
    VisitReady,
)
from streamdiff.plugins import Registry
from streamdiff.ports import OutgoingRecord, Transport
from streamdiff.stream.health import Health
from streamdiff.testing import Survey

# Time for the first results, which wait for compilation too.
PATIENCE_S = 600.0
ALERT_PARTITIONS = 12
ALERTS = "alerts.avro"
STARTING = "starting workers; code is compiled first, once on a machine: a minute"
# Event logs of all topics.
ARCHIVE = "archive"
# The topics are quiet once everything was read.
_QUIET_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DemoResult:
    """What came of the demo.

    Attributes
    ----------
    survey : Survey
    scores : tuple of VisitScore
    reports : mapping of int to VisitProcessed
        By visit.
    n_templates : int
    n_produced, n_read : int
        Alerts that the reports count, and that the live reader got.
    alerts : sequence of mapping
    directory : Path
    """

    survey: Survey
    scores: tuple[VisitScore, ...]
    reports: Mapping[int, VisitProcessed]
    n_templates: int
    n_produced: int
    n_read: int
    alerts: Sequence[Mapping[str, Any]]
    directory: Path

    def difference_file(self, visit: int) -> Path:
        """Return the difference image of a visit."""
        report = self.reports[visit]
        name = f"{report.instrument}_{visit}_{report.detector}.fits"
        return self.directory / "differences" / name

    @property
    def megapixels(self) -> float:
        """Return how much sky all visits saw."""
        ny, nx = self.survey.shape
        return len(self.scores) * ny * nx / 1e6


def run_demo(
    directory: Path,
    survey: Survey,
    registry: Registry,
    progress: Progress,
    *,
    workers: int = 2,
) -> DemoResult:
    """Return the result of a survey, simulated and processed.

    Parameters
    ----------
    directory : Path
        Holds images, templates, differences, alerts, event logs of all topics, and
        the configuration of each service afterwards.
    survey : Survey
    registry : Registry
    progress : Progress
    workers : int

    Raises
    ------
    StreamError
        If a template or a visit is not processed, or results get lost.
    """
    services = [
        written_settings(directory, survey, name, workers)
        for name in SUBTRACTORS
        if name in registry.names("subtract")
    ]
    topics = [topics_of(settings) for settings in services]
    simulated = _simulated(directory / "images", survey, sky_map(services[0]), progress)
    epochs, visits = simulated.epochs, simulated.visits
    with ExitStack() as stack:
        broker = stack.enter_context(EmbeddedBroker(_partitions(services)))
        results = stack.enter_context(Collector(broker.transport(), topics))
        progress.note(STARTING)
        progress.begin("services", len(services))
        for n, settings in enumerate(services, 1):
            health = stack.enter_context(
                running_service(settings, registry, broker.transport(), results)
            )
            # Before the next one starts: it finds what this one has compiled.
            _await_ready(results, health)
            progress.advance("services", n)
        update = template_update(epochs)
        send_events(broker.transport(), topics[0].template_update, [update])
        _await(results, results.templates, simulated.n_patches, "templates", progress)
        for rank, service in enumerate(topics):
            share = visits[rank :: len(topics)]
            send_events(broker.transport(), service.visit_ready, share)
        _await(results, results.visits, len(visits), "visits", progress)
        n_produced = sum(report.n_alerts for report in results.visits)
        _await(results, results.alerts, n_produced, "alerts", progress)
        _archive(directory / ARCHIVE, services, broker.transport())
    _require_processed(results)
    write_alerts(directory / ALERTS, results.alerts)
    reports = {report.visit: report for report in results.visits}
    return DemoResult(
        survey=survey,
        scores=tuple(
            _score(survey, event, reports[event.visit], results.alerts)
            for event in visits
        ),
        reports=reports,
        n_templates=sum(
            report.outcome is Outcome.PROCESSED for report in results.templates
        ),
        n_produced=n_produced,
        n_read=len(results.alerts),
        alerts=results.alerts,
        directory=directory,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Simulated:
    """The events of a survey, and how many patches its epochs touch."""

    epochs: list[VisitReady]
    visits: list[VisitReady]
    n_patches: int


def _simulated(
    folder: Path, survey: Survey, skymap: Tessellation, progress: Progress
) -> _Simulated:
    progress.begin("images", survey.n_epochs + survey.n_visits)
    done = 0
    patches: set[tuple[int, int]] = set()

    def tick() -> None:
        nonlocal done
        done += 1
        progress.advance("images", done)

    def noted(epochs: Iterable[Exposure]) -> Iterator[Exposure]:
        for epoch in epochs:
            patches.update(skymap.patches_touching(epoch.wcs, epoch.shape))
            yield epoch

    epochs = noted(survey.template_exposures())
    return _Simulated(
        epochs=list(write_exposures(epochs, folder, tick)),
        visits=list(write_exposures(survey.visits(), folder, tick)),
        n_patches=len(patches),
    )


def _partitions(services: Iterable[Settings]) -> dict[str, int]:
    partitions: dict[str, int] = {}
    for settings in services:
        partitions |= embedded_partitions(settings)
        # Each partition holds 5 MiB: enough for the alerts of all visits.
        alerts = topics_of(settings).alerts(0, "")
        partitions[alerts] = ALERT_PARTITIONS
    return partitions


def _archive(folder: Path, services: Sequence[Settings], transport: Transport) -> None:
    """Record all topics of the services, as ``streamdiff archive record`` does."""
    topics = {topic for settings in services for topic in recorded_topics(settings)}
    record(
        services[0],
        transport,
        folder,
        topics=sorted(topics),
        limits=RollLimits(),
        until_idle_s=_QUIET_S,
    )


@contextmanager
def running_service(
    settings: Settings,
    registry: Registry,
    transport: Transport,
    results: Collector,
) -> Iterator[Health]:
    """Run the service in a thread; its failure ends the wait for results.

    Yields
    ------
    Health
        It tells when the workers are ready.
    """
    service = Service(
        settings=settings,
        registry=registry,
        transport=transport,
        metrics=Metrics(CollectorRegistry()),
    )
    health = Health(SystemClock())
    runtime = service.runtime(health)

    def run() -> None:
        try:
            runtime.run()
        except Exception as err:  # noqa: BLE001 (told where someone waits)
            results.fail(err)

    thread = threading.Thread(target=run, name="service")
    thread.start()
    try:
        yield health
    finally:
        runtime.stop()
        thread.join()


def send_events(
    transport: Transport, topic: str, events: Iterable[VisitReady | TemplateUpdate]
) -> None:
    """Publish events on a topic."""
    producer = transport.producer()
    try:
        producer.send(
            [
                OutgoingRecord(
                    topic=topic, key=message_key(event), value=encode_event(event)
                )
                for event in events
            ]
        )
    finally:
        producer.close()


def _await_ready(results: Collector, health: Health) -> None:
    results.wait_for(
        lambda: health.is_ready, timeout_s=PATIENCE_S, what="workers are ready"
    )


def _await(
    results: Collector,
    got: Sequence[object],
    total: int,
    phase: str,
    progress: Progress,
) -> None:
    """Wait for a number of results; a dead letter ends the wait."""
    progress.begin(phase, total)

    def met() -> bool:
        progress.advance(phase, len(got))
        return len(got) >= total or bool(results.dead_letters)

    results.wait_for(met, timeout_s=PATIENCE_S, what=f"{total} {phase}")
    _require_processed(results)


def _require_processed(results: Collector) -> None:
    for letter in results.dead_letters:
        headers: Mapping[str, bytes | None] = dict(letter.headers)
        message = headers.get("streamdiff.dlq.error_message") or b""
        raise StreamError(f"an event was given up: {message.decode()}")
    reports: list[TemplateRebuilt | VisitProcessed] = [
        *results.templates,
        *results.visits,
    ]
    for report in reports:
        # A patch on the border of the field has too few epochs, and no visit.
        held = report.reason is Reason.INSUFFICIENT_EPOCHS
        if report.outcome is not Outcome.PROCESSED and not held:
            raise StreamError(
                f"{report.event_id} was {report.outcome}: {report.reason}"
            )


def _score(
    survey: Survey,
    event: VisitReady,
    report: VisitProcessed,
    alerts: Iterable[Mapping[str, Any]],
) -> VisitScore:
    return score_visit(
        event.visit,
        survey.truth(event.visit),
        [alert for alert in alerts if alert["diaSource"]["visit"] == event.visit],
        (report.finished_at - event.published_at).total_seconds(),
    )
