"""What the event logs of a night say about quality."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from streamdiff.adapters.archive.verify import is_open
from streamdiff.adapters.avro.events import decode_event
from streamdiff.adapters.event_log import log_files, read_log
from streamdiff.errors import UndecodableError
from streamdiff.model import TemplateRebuilt, VisitProcessed, VisitReady
from streamdiff.ports import ConsumedRecord
from streamdiff.stream.dead_letters import DeadLetter

_EVENTS = ("visit-ready", "visit-processed", "template-rebuilt")


@dataclass(slots=True, kw_only=True)
class Night:
    """Events and reports of a night; what came twice is here once.

    Attributes
    ----------
    events : dict of str to VisitReady
        By event id.
    reports : dict of str to VisitProcessed
        By event id; the last one of each.
    rebuilt : dict of (str, str) to TemplateRebuilt
        By event id and template.
    letters : list of DeadLetter
    n_unreadable : int
        Records of the topics of events that can not be decoded.
    """

    events: dict[str, VisitReady] = field(default_factory=dict)
    reports: dict[str, VisitProcessed] = field(default_factory=dict)
    rebuilt: dict[tuple[str, str], TemplateRebuilt] = field(default_factory=dict)
    letters: list[DeadLetter] = field(default_factory=list)
    n_unreadable: int = 0

    def take(self, record: ConsumedRecord) -> None:
        """Take a record of any topic; alerts tell nothing here."""
        letter = DeadLetter.of(record)
        if letter is not None:
            self.letters.append(letter)
        elif record.topic.endswith(_EVENTS):
            self._take_event(record)

    def _take_event(self, record: ConsumedRecord) -> None:
        try:
            event = decode_event(record)
        except UndecodableError:
            # A foreign message, or what became a dead letter.
            self.n_unreadable += 1
            return
        match event:
            case VisitReady():
                self.events[event.event_id] = event
            case VisitProcessed():
                self.reports[event.event_id] = event
            case TemplateRebuilt():
                self.rebuilt[event.event_id, event.template_id] = event


def read_night(
    paths: Iterable[Path],
    *,
    since_ms: int | None = None,
    until_ms: int | None = None,
) -> Night:
    """Return what event logs, files or folders, say of a night.

    Parameters
    ----------
    paths : iterable of Path
    since_ms, until_ms : int, optional
        Timestamps of records since 1970 [ms]: from the one, and before the other.

    Raises
    ------
    UndecodableError
        If there is no log, or one is damaged.
    """
    night = Night()
    for record in _records(paths):
        time_ms = record.timestamp_ms
        if since_ms is not None and time_ms < since_ms:
            continue
        if until_ms is not None and time_ms >= until_ms:
            continue
        night.take(record)
    return night


def _records(paths: Iterable[Path]) -> Iterator[ConsumedRecord]:
    for file in log_files(paths):
        yield from read_log(file, allow_cut=is_open(file))
