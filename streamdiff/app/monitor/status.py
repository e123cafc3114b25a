"""Numbers that tell how the service does: rate, lag, latency, outcomes, detectors."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np

from streamdiff.app.monitor.recent import Picture
from streamdiff.app.monitor.rows import AlertRow
from streamdiff.model import VisitProcessed, VisitReady

VISITS_SHOWN = 12
# Rates are over the last so many seconds.
_WINDOW_S = 600.0
_QUANTILES = (50, 90, 99)
_MJD_OF_1970 = 40_587
_DAY_S = 86_400
# Events that are published later after their exposure are of old or simulated ones.
_FRESH_S = 86_400.0
# TAI - UTC since 2017. The monitor rounds to 0.1 s, and no leap second is announced.
_TAI_MINUS_UTC_S = 37.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Percentiles of the time until the reports [s]; `None` where there is none."""

    n: int
    p50: float | None
    p90: float | None
    p99: float | None

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Latency":
        """Return the percentiles of some times."""
        if not seconds:
            return cls(n=0, p50=None, p90=None, p99=None)
        values = [round(float(v), 3) for v in np.percentile(seconds, _QUANTILES)]
        return cls(n=len(seconds), p50=values[0], p90=values[1], p99=values[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """How one detector of a visit fared."""

    detector: int
    outcome: str
    reason: str
    n_alerts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One visit, detector by detector."""

    visit: int
    band: str
    instrument: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How the service does.

    Attributes
    ----------
    is_live : bool
        Whether more is to come; else the rates are those before the last report.
    n_alerts, n_reports : int
        So far.
    visits_per_min, alerts_per_min : float
        Over the last ten minutes, or as many as there are. Visits are events, which
        are detector images.
    n_waiting : int
        Events without a report yet.
    oldest_waiting_s : float or None
        Since the oldest of them was published.
    last_report_s : float or None
        Age of the latest report.
    since_shutter, since_event : Latency
        From the end of the exposure, where its event came within a day, and from the
        publication of the event.
    outcomes : tuple
        Outcome, reason and number, the most frequent first.
    visits : tuple of Visit
        The latest first.
    problems : tuple of str
    """

    is_live: bool
    n_alerts: int
    n_reports: int
    visits_per_min: float
    alerts_per_min: float
    n_waiting: int
    oldest_waiting_s: float | None
    last_report_s: float | None
    since_shutter: Latency
    since_event: Latency
    outcomes: tuple[tuple[str, str, int], ...]
    visits: tuple[Visit, ...]
    problems: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return what can be written as JSON."""
        return asdict(self)


def status_of(picture: Picture, now: datetime) -> Status:
    """Return how the service does.

    Parameters
    ----------
    picture : Picture
    now : datetime
        With a time zone.
    """
    reports = picture.reports
    last = max((r.finished_at for r in reports), default=None)
    recent, minutes = _recent(reports, now if picture.is_live else last or now)
    answered = {report.event_id for report in reports}
    waiting = [e.published_at for i, e in picture.events.items() if i not in answered]
    pairs = [(r, picture.events[r.event_id]) for r in reports if _is_known(r, picture)]
    return Status(
        is_live=picture.is_live,
        n_alerts=picture.n_alerts,
        n_reports=picture.n_reports,
        visits_per_min=round(len(recent) / minutes, 2),
        alerts_per_min=round(sum(r.n_alerts for r in recent) / minutes, 2),
        n_waiting=len(waiting),
        oldest_waiting_s=_age_s(min(waiting, default=None), now),
        last_report_s=_age_s(last, now),
        since_shutter=Latency.of(shutter_latencies_s(pairs)),
        since_event=Latency.of(
            [(r.finished_at - e.published_at).total_seconds() for r, e in pairs]
        ),
        outcomes=tuple((o, why, n) for (o, why), n in picture.outcomes.most_common()),
        visits=tuple(_visits(reports) or _visits_of_alerts(picture.rows)),
        problems=picture.problems,
    )


def _is_known(report: VisitProcessed, picture: Picture) -> bool:
    return report.event_id in picture.events


def _age_s(time: datetime | None, now: datetime) -> float | None:
    """Return the age of a time; 0 where another clock is ahead of this one."""
    return None if time is None else max(round((now - time).total_seconds(), 1), 0.0)


def _recent(
    reports: Iterable[VisitProcessed], until: datetime
) -> tuple[list[VisitProcessed], float]:
    """Return the reports of the last minutes, and how many minutes these are."""
    ages = [((until - r.finished_at).total_seconds(), r) for r in reports]
    recent = [(age, report) for age, report in ages if 0 <= age <= _WINDOW_S]
    oldest_s = max((age for age, _ in ages), default=0.0)
    minutes = min(max(oldest_s, 1.0), _WINDOW_S) / 60
    return [report for _, report in recent], minutes


def shutter_latencies_s(
    pairs: Iterable[tuple[VisitProcessed, VisitReady]],
) -> list[float]:
    """Return the times from the end of exposures to their reports [s].

    Those of exposures whose events came more than a day later are left out: they tell
    nothing about the service.
    """
    ends = [(r, e, _shutter_close_s(e)) for r, e in pairs]
    return [
        report.finished_at.timestamp() - end
        for report, event, end in ends
        if event.published_at.timestamp() - end <= _FRESH_S
    ]


def _shutter_close_s(event: VisitReady) -> float:
    """Return the end of an exposure, since 1970 [s]."""
    midpoint_s = (event.midpoint_mjd_tai - _MJD_OF_1970) * _DAY_S - _TAI_MINUS_UTC_S
    return midpoint_s + event.exposure_time_s / 2


def _visits(reports: Iterable[VisitProcessed]) -> list[Visit]:
    """Return the latest visits that there are reports on."""
    found: dict[tuple[str, int], dict[int, VisitProcessed]] = {}
    for report in reports:
        key = report.instrument, report.visit
        cells = found.pop(key, {})
        found[key] = cells | {report.detector: report}
    return [
        Visit(
            visit=visit,
            band=next(iter(cells.values())).band,
            instrument=instrument,
            cells=tuple(_cell(cells[detector]) for detector in sorted(cells)),
        )
        for (instrument, visit), cells in list(found.items())[: -VISITS_SHOWN - 1 : -1]
    ]


def _cell(report: VisitProcessed) -> Cell:
    return Cell(
        detector=report.detector,
        outcome=report.outcome.value,
        reason=report.reason or "",
        n_alerts=report.n_alerts,
    )


def _visits_of_alerts(rows: Iterable[AlertRow]) -> list[Visit]:
    """Return the latest visits by their alerts, where nothing else is known."""
    bands: dict[int, str] = {}
    counts: dict[int, dict[int, int]] = {}
    for row in rows:
        cells = counts.pop(row.visit, {})
        cells[row.detector] = cells.get(row.detector, 0) + 1
        counts[row.visit], bands[row.visit] = cells, row.band
    return [
        Visit(
            visit=visit,
            band=bands[visit],
            instrument="",
            cells=tuple(
                Cell(detector=d, outcome="processed", reason="", n_alerts=n)
                for d, n in sorted(cells.items())
            ),
        )
        for visit, cells in list(counts.items())[: -VISITS_SHOWN - 1 : -1]
    ]
