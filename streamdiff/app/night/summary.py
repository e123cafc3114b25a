"""A night in numbers: for the page, and for programs."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from streamdiff.app.monitor.status import Latency, shutter_latencies_s
from streamdiff.app.night.archive import Night
from streamdiff.app.night.figures import FIGURES, Odd, Spread, odd_visits, spreads
from streamdiff.app.replay.completeness import CompletenessBin
from streamdiff.model import Outcome, VisitProcessed
from streamdiff.stream.dead_letters import DeadLetter


@dataclass(frozen=True, slots=True, kw_only=True)
class Letters:
    """The dead letters of one reason."""

    reason: str
    stage: str
    plugin: str
    n: int
    place: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorRow:
    """How one detector did."""

    detector: int
    n: int
    n_processed: int
    n_alerts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a night comes to.

    Attributes
    ----------
    first, last : datetime or None
        Of the reports.
    n_visits, n_images, n_alerts : int
        Visits, their detector images, and alerts.
    n_waiting : int
        Events without a report.
    outcomes : tuple of (outcome, reason, number)
    since_shutter, since_event : Latency
    injected : mapping of str to (int, int)
        Sources found and injected, by band.
    curve : tuple of CompletenessBin
        By signal over noise, where the files of results tell it.
    figures : mapping of str to sequence of Spread
        By metric.
    odd : tuple of Odd
    filtered : mapping of str to int
        DiaSources that became no alerts, by why.
    detectors : tuple of DetectorRow
    letters : tuple of Letters
        The most frequent first.
    templates : mapping of str to int
        Rebuilds of templates by outcome, or reason.
    """

    first: datetime | None
    last: datetime | None
    n_visits: int
    n_images: int
    n_alerts: int
    n_waiting: int
    outcomes: tuple[tuple[str, str, int], ...]
    since_shutter: Latency
    since_event: Latency
    injected: Mapping[str, tuple[int, int]]
    curve: tuple[CompletenessBin, ...]
    figures: Mapping[str, Sequence[Spread]]
    odd: tuple[Odd, ...]
    filtered: Mapping[str, int]
    detectors: tuple[DetectorRow, ...]
    letters: tuple[Letters, ...]
    templates: Mapping[str, int]

    def as_json(self) -> dict[str, Any]:
        """Return what can be written as JSON."""
        return asdict(self) | {
            "first": self.first and self.first.isoformat(),
            "last": self.last and self.last.isoformat(),
            "outcomes": [
                {"outcome": outcome, "reason": reason or None, "n": n}
                for outcome, reason, n in self.outcomes
            ],
            "injected": {
                band: {"n": n, "n_found": found}
                for band, (found, n) in self.injected.items()
            },
        }


def summary(night: Night, curve: Iterable[CompletenessBin] = ()) -> Summary:
    """Return the numbers of a night.

    Parameters
    ----------
    night : Night
    curve : iterable of CompletenessBin
        Completeness by signal over noise, if it is known.
    """
    reports = list(night.reports.values())
    processed = [r for r in reports if r.outcome is Outcome.PROCESSED]
    pairs = [
        (r, night.events[r.event_id]) for r in reports if r.event_id in night.events
    ]
    times = [report.finished_at for report in reports]
    outcomes = Counter((r.outcome.value, str(r.reason or "")) for r in reports)
    return Summary(
        first=min(times, default=None),
        last=max(times, default=None),
        n_visits=len({(r.instrument, r.visit) for r in reports}),
        n_images=len(reports),
        n_alerts=sum(r.n_alerts for r in reports),
        n_waiting=len(night.events.keys() - night.reports.keys()),
        outcomes=tuple((*key, n) for key, n in outcomes.most_common()),
        since_shutter=Latency.of(shutter_latencies_s(pairs)),
        since_event=Latency.of(
            [(r.finished_at - e.published_at).total_seconds() for r, e in pairs]
        ),
        injected=_injected(processed),
        curve=tuple(curve),
        figures={f.metric: spreads(f, processed) for f in FIGURES},
        odd=tuple(odd_visits(processed)),
        filtered=dict(sum((Counter(r.n_filtered) for r in reports), Counter())),
        detectors=tuple(_detectors(reports)),
        letters=tuple(_letters(night.letters)),
        templates=Counter(
            str(r.reason or r.outcome.value) for r in night.rebuilt.values()
        ),
    )


def _injected(reports: Iterable[VisitProcessed]) -> dict[str, tuple[int, int]]:
    """Return (found, injected) by band."""
    counts: dict[str, tuple[int, int]] = {}
    for report in reports:
        n = int(report.metrics.get("n_injected", 0))
        if n:
            found, before = counts.get(report.band, (0, 0))
            found += int(report.metrics.get("n_injected_found", 0))
            counts[report.band] = found, before + n
    return dict(sorted(counts.items()))


def _detectors(reports: Iterable[VisitProcessed]) -> list[DetectorRow]:
    grouped: dict[int, list[VisitProcessed]] = {}
    for report in reports:
        grouped.setdefault(report.detector, []).append(report)
    return [
        DetectorRow(
            detector=detector,
            n=len(of_one),
            n_processed=sum(r.outcome is Outcome.PROCESSED for r in of_one),
            n_alerts=sum(r.n_alerts for r in of_one),
        )
        for detector, of_one in sorted(grouped.items())
    ]


def _letters(letters: Iterable[DeadLetter]) -> list[Letters]:
    grouped: dict[tuple[str, str, str], list[DeadLetter]] = {}
    for letter in letters:
        facts = letter.facts
        key = letter.reason, facts.get("stage", ""), facts.get("plugin", "")
        grouped.setdefault(key, []).append(letter)
    found = [
        Letters(
            reason=reason,
            stage=stage,
            plugin=plugin,
            n=len(of_one),
            place=of_one[-1].place,
            message=of_one[-1].facts.get("error_message", ""),
        )
        for (reason, stage, plugin), of_one in grouped.items()
    ]
    return sorted(found, key=lambda row: (-row.n, row.reason))
