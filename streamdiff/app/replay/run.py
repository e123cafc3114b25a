"""Archived visits through the pipeline of this installation, into a folder."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from streamdiff import log
from streamdiff.adapters.avro.events import decode_event
from streamdiff.adapters.whole_file import write_whole
from streamdiff.adapters.workers import WorkerPool
from streamdiff.app.output import file_stem
from streamdiff.app.progress import Progress
from streamdiff.app.replay.events import EventLog, pinned
from streamdiff.app.replay.worker import start_replay_worker
from streamdiff.app.topics import Topics, topics_of
from streamdiff.config import InjectionSettings, Settings
from streamdiff.errors import UnprocessableError
from streamdiff.model import Outcome, VisitProcessed, VisitReady
from streamdiff.ports import (
    ConsumedRecord,
    Executor,
    Failure,
    Finished,
    OutgoingRecord,
)
from streamdiff.stream.replay import replayed

VISITS_FILE = "visits.jsonl"
Associate = Callable[[Iterable[VisitReady], Progress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What a replay came to.

    Attributes
    ----------
    directory : Path
        Holds one container of alerts per processed visit, `VISITS_FILE`, and one
        table of injected sources per visit that got any.
    outcomes : mapping of str to int
        How many visits ended how: an outcome, with its reason where it has one.
    n_alerts : int
    """

    directory: Path
    outcomes: Mapping[str, int] = field(default_factory=dict)
    n_alerts: int = 0

    @property
    def n_visits(self) -> int:
        """Return how many visits were replayed."""
        return sum(self.outcomes.values())


def replay_settings(
    settings: Settings, directory: Path, injection: InjectionSettings | None = None
) -> Settings:
    """Return a configuration whose results go into a folder, and nowhere else."""
    output = settings.output.model_copy(
        update={"directory": str(directory), "alerts": True}
    )
    changes: dict[str, Any] = {
        "output": output,
        "injection": injection or InjectionSettings(),
        # Each event is of its own time.
        "stream": settings.stream.model_copy(update={"stale_after_s": 0.0}),
    }
    return settings.model_copy(update=changes)


def pool(settings: Settings) -> WorkerPool:
    """Return the workers of a replay, as many as the configuration says."""
    factory = partial(start_replay_worker, settings, log_level=log.level())
    stream = settings.stream
    return WorkerPool(factory, workers=stream.workers, threads=stream.threads)


def run_replay(
    events: EventLog,
    settings: Settings,
    executor: Executor,
    progress: Progress,
    *,
    latest_templates: bool = False,
    associate: Associate | None = None,
) -> Replay:
    """Return what the visits of logs come to.

    The same logs, configuration and versions give the same files, in whatever order
    the visits end.

    Parameters
    ----------
    events : EventLog
    settings : Settings
        Those of `replay_settings`.
    executor : Executor
        Its handlers are those of `make_replay_handler`, with these settings.
    progress : Progress
    latest_templates : bool
        Compare with the newest templates, not with those that were used.
    associate : callable, optional
        What is done with the visits that were processed, after all of them.

    Raises
    ------
    UnprocessableError
        If no visit is wanted.
    StoreUnavailableError
        If the folder can not be written to.
    StreamError
        If the workers are broken.
    """
    wanted = sorted(events.visits(), key=_in_time)
    if not wanted:
        raise UnprocessableError(
            f"{', '.join(map(str, events.files))}: no visit-ready event is selected"
        )
    pins = {} if latest_templates else events.templates_used()
    visits = {
        pinned(record, pins[event.event_id])
        if event.event_id in pins
        else record: event
        for record, event in wanted
    }
    lines = dict[str, dict[str, Any]]()
    progress.begin("visits", len(visits))
    executor.start()
    try:
        answers = replayed(
            visits,
            executor,
            timeout_s=settings.stream.visit_timeout_s,
            max_attempts=settings.stream.max_attempts,
        )
        for record, result in answers:
            event = visits[record]
            lines[event.event_id] = _told(event, result, settings)
            progress.advance("visits", len(lines))
    finally:
        executor.close()
    if associate is not None:
        processed = [e for e in visits.values() if _is_processed(lines[e.event_id])]
        associate(processed, progress)
    in_order = [lines[event.event_id] for event in visits.values()]
    return _finished(Path(settings.output.directory), in_order)


def _is_processed(line: Mapping[str, Any]) -> bool:
    return bool(line["outcome"] == Outcome.PROCESSED.value)


def _in_time(item: tuple[ConsumedRecord, VisitReady]) -> tuple[float, str, str]:
    """Return the place of a visit: which came first to a broker is left to chance."""
    _, event = item
    return event.midpoint_mjd_tai, str(event.exposure_id), event.event_id


def _told(
    event: VisitReady, result: Finished | Failure, settings: Settings
) -> dict[str, Any]:
    """Return the line about a visit; it holds nothing that depends on the time."""
    line: dict[str, Any] = {
        "event_id": event.event_id,
        "exposure": file_stem(event.exposure_id),
        "band": event.band,
    }
    if isinstance(result, Failure):
        return line | {
            "outcome": Outcome.FAILED.value,
            "reason": result.reason.value,
            "detail": f"{result.error_class}: {result.message}",
            "n_alerts": 0,
        }
    report = _report(result.records, topics_of(settings))
    return line | {
        "outcome": report.outcome.value,
        "reason": report.reason.value if report.reason else None,
        "detail": report.detail,
        "n_alerts": report.n_alerts,
        "templates": {use.template_id: use.version for use in report.templates},
        "metrics": dict(sorted(report.metrics.items())),
    }


def _report(records: Iterable[OutgoingRecord], topics: Topics) -> VisitProcessed:
    for record in records:
        if record.topic == topics.visit_processed:
            report = decode_event(
                ConsumedRecord(
                    topic=record.topic,
                    partition=0,
                    offset=0,
                    key=record.key,
                    value=record.value,
                )
            )
            if isinstance(report, VisitProcessed):
                return report
    raise UnprocessableError("a worker has told nothing of its visit")


def _finished(directory: Path, lines: list[dict[str, Any]]) -> Replay:
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    write_whole(directory / VISITS_FILE, text.encode())
    outcomes = Counter(
        " ".join(filter(None, (line["outcome"], line["reason"]))) for line in lines
    )
    return Replay(
        directory=directory,
        outcomes=dict(sorted(outcomes.items())),
        n_alerts=sum(line["n_alerts"] for line in lines),
    )
