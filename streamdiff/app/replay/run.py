"""Archived visits through the pipeline of this installation, into a folder."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from streamdiff import log
from streamdiff.adapters.avro.events import decode_event
from streamdiff.adapters.whole_file import write_whole
from streamdiff.adapters.workers import WorkerPool
from streamdiff.app.output import file_stem
from streamdiff.app.progress import Progress
from streamdiff.app.replay.associate import Associates, SerialAssociation
from streamdiff.app.replay.events import EventLog, Pins, pinned
from streamdiff.app.replay.turns import Turns, in_time
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

Line = dict[str, Any]


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
    associate: SerialAssociation | None = None,
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
    associate : SerialAssociation, optional
        With DiaObjects: of each visit that was processed, in the order of time.

    Raises
    ------
    UnprocessableError
        If no visit is wanted.
    StoreUnavailableError
        If the folder can not be written to.
    StreamError
        If the workers are broken.
    """
    wanted = sorted(events.visits(), key=lambda item: in_time(item[1]))
    if not wanted:
        raise UnprocessableError(
            f"{', '.join(map(str, events.files))}: no visit-ready event is selected"
        )
    pins = events.pins()
    if latest_templates:
        pins = {id_: replace(pin, templates=None) for id_, pin in pins.items()}
    visits = {
        pinned(record, pins.get(event.event_id, Pins())): event
        for record, event in wanted
    }
    lines = dict[str, Line]()
    progress.begin("visits", len(visits))
    with ExitStack() as stack:
        in_turn = None
        if associate is not None:
            associates = stack.enter_context(associate.begin(wanted[0][1]))
            in_turn = _InTurn(associates, visits.values(), lines, progress)
        stack.callback(executor.close)
        executor.start()
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
            if in_turn is not None:
                in_turn.ended(event)
    in_order = [lines[event.event_id] for event in visits.values()]
    return _finished(Path(settings.output.directory), in_order)


class _InTurn:
    """Associates visits in their turn, and adds to their lines what came of it."""

    def __init__(
        self,
        associates: Associates,
        events: Collection[VisitReady],
        lines: Mapping[str, Line],
        progress: Progress,
    ) -> None:
        self._associates = associates
        self._turns = Turns(events)
        self._lines = lines
        self._progress = progress
        self._total = len(self._turns)
        progress.begin("associated", self._total)

    def ended(self, event: VisitReady) -> None:
        """Associate what was waiting for a visit."""
        processed = _is_processed(self._lines[event.event_id])
        for following in self._turns.ended(event, processed=processed):
            line = self._lines[following.event_id]
            found = self._associates(following)
            line["metrics"] = dict(sorted({**line["metrics"], **found}.items()))
        self._progress.advance("associated", self._total - len(self._turns))


def _is_processed(line: Mapping[str, Any]) -> bool:
    return bool(line["outcome"] == Outcome.PROCESSED.value)


def _told(event: VisitReady, result: Finished | Failure, settings: Settings) -> Line:
    """Return the line about a visit; it holds nothing that depends on the time."""
    line: Line = {
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


def _finished(directory: Path, lines: list[Line]) -> Replay:
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
