"""What came last: alerts, events and reports, in bounded memory."""

import threading
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field, replace
from typing import TypeVar

from streamdiff.app.monitor.packets import Packet
from streamdiff.app.monitor.rows import AlertRow
from streamdiff.model import VisitProcessed, VisitReady

MAX_PROBLEMS = 20
_MIB = 1 << 20

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is kept; the oldest goes first.

    Attributes
    ----------
    alerts, visits : int
        Most alerts, and most events and reports.
    alert_mib : float
        Most memory of the packets of alerts [MiB].
    """

    alerts: int = 5000
    visits: int = 5000
    alert_mib: float = 512.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Everything that is known at one moment.

    Attributes
    ----------
    rows : tuple of AlertRow
        The oldest first.
    reports : tuple of VisitProcessed
        The oldest first.
    events : mapping of str to VisitReady
        By event id.
    outcomes : Counter
        Of all reports so far: outcome and reason.
    n_alerts, n_reports : int
        So far.
    problems : tuple of str
        The latest last.
    is_live : bool
        Whether more is to come.
    """

    rows: tuple[AlertRow, ...]
    reports: tuple[VisitProcessed, ...]
    events: dict[str, VisitReady]
    outcomes: Counter[tuple[str, str]]
    n_alerts: int
    n_reports: int
    problems: tuple[str, ...]
    is_live: bool


@dataclass(slots=True)
class Recent:
    """Takes what comes, from one thread, and shows it to others.

    Attributes
    ----------
    limits : Limits
    is_live : bool
        Whether it is read from a stream.
    """

    limits: Limits = field(default_factory=Limits)
    is_live: bool = False
    _rows: OrderedDict[int, AlertRow] = field(default_factory=OrderedDict)
    _packets: dict[int, Packet] = field(default_factory=dict)
    _bytes: int = 0
    _events: OrderedDict[str, VisitReady] = field(default_factory=OrderedDict)
    _reports: deque[VisitProcessed] = field(default_factory=deque)
    _outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    _problems: deque[str] = field(default_factory=lambda: deque(maxlen=MAX_PROBLEMS))
    _n_taken: int = 0
    _n_alerts: int = 0
    _n_reports: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add_alert(self, row: AlertRow, packet: Packet) -> None:
        """Take an alert; one of the same id takes the place of the earlier one."""
        with self._lock:
            self._n_taken += 1
            if not self._drop(row.id):
                self._n_alerts += 1
            self._rows[row.id] = replace(row, number=self._n_taken)
            self._packets[row.id] = packet
            self._bytes += len(packet.body)
            while len(self._rows) > 1 and self._has_too_many_alerts():
                self._drop(next(iter(self._rows)))

    def add_event(self, event: VisitReady) -> None:
        """Take a visit-ready event, which a report answers sooner or later."""
        with self._lock:
            self._events[event.event_id] = event
            _shorten(self._events, self.limits.visits)

    def add_report(self, report: VisitProcessed) -> None:
        """Take a report."""
        with self._lock:
            self._n_reports += 1
            self._outcomes[report.outcome.value, report.reason or ""] += 1
            self._reports.append(report)
            if len(self._reports) > self.limits.visits:
                self._reports.popleft()

    def add_problem(self, text: str) -> None:
        """Take what could not be read."""
        with self._lock:
            if text not in self._problems:
                self._problems.append(text)

    def packet(self, dia_source_id: int) -> Packet | None:
        """Return an alert; `None` if it is not kept."""
        with self._lock:
            return self._packets.get(dia_source_id)

    def of_object(self, dia_object_id: int, most: int) -> list[Packet]:
        """Return the latest alerts of a DiaObject."""
        with self._lock:
            found = [i for i, row in self._rows.items() if row.object == dia_object_id]
            return [self._packets[i] for i in found[-most:]]

    def picture(self) -> Picture:
        """Return everything that is known now."""
        with self._lock:
            return Picture(
                rows=tuple(self._rows.values()),
                reports=tuple(self._reports),
                events=dict(self._events),
                outcomes=self._outcomes.copy(),
                n_alerts=self._n_alerts,
                n_reports=self._n_reports,
                problems=tuple(self._problems),
                is_live=self.is_live,
            )

    def _has_too_many_alerts(self) -> bool:
        return (
            len(self._rows) > self.limits.alerts
            or self._bytes > self.limits.alert_mib * _MIB
        )

    def _drop(self, dia_source_id: int) -> bool:
        """Forget an alert; return whether it was kept."""
        if self._rows.pop(dia_source_id, None) is None:
            return False
        self._bytes -= len(self._packets.pop(dia_source_id).body)
        return True


def _shorten(kept: OrderedDict[Key, Value], most: int) -> None:
    while len(kept) > most:
        kept.popitem(last=False)
