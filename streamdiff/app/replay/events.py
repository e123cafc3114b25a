"""The events of event logs that a replay is about."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from streamdiff.adapters.archive.verify import is_open
from streamdiff.adapters.avro.events import decode_event, encode_event
from streamdiff.adapters.event_log import log_files, read_log
from streamdiff.app.decoding import Decoding
from streamdiff.errors import UndecodableError
from streamdiff.model import TemplateUse, VisitProcessed, VisitReady
from streamdiff.ports import ConsumedRecord

# Tells a worker, as JSON, which version of each template a visit used.
PINNED = "streamdiff.replay.templates"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which visits are wanted; empty sets take all.

    Attributes
    ----------
    visits, detectors : frozenset of int
    bands : frozenset of str
    since, until : float
        Mid-exposure, MJD, TAI [d]; from the one, and before the other.
    """

    visits: frozenset[int] = frozenset()
    detectors: frozenset[int] = frozenset()
    bands: frozenset[str] = frozenset()
    since: float = float("-inf")
    until: float = float("inf")

    def takes(self, event: VisitReady) -> bool:
        """Return whether a visit is wanted."""
        return (
            (not self.visits or event.visit in self.visits)
            and (not self.detectors or event.detector in self.detectors)
            and (not self.bands or event.band in self.bands)
            and self.since <= event.midpoint_mjd_tai < self.until
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLog:
    """One or more archived logs.

    Attributes
    ----------
    files : tuple of Path
        In the order of their records.
    decoding : Decoding
    selection : Selection
    """

    files: tuple[Path, ...]
    decoding: Decoding
    selection: Selection

    @classmethod
    def at(
        cls, paths: Iterable[Path], decoding: Decoding, selection: Selection
    ) -> "EventLog":
        """Return the logs that files and folders hold.

        Raises
        ------
        UndecodableError
            If there is none.
        """
        return cls(files=log_files(paths), decoding=decoding, selection=selection)

    def visits(self) -> Iterator[tuple[ConsumedRecord, VisitReady]]:
        """Yield the wanted visits, each once, with a record that announces it alone.

        What can not be decoded was a dead letter, and is passed over.
        """
        seen: set[str] = set()
        for record in self._records("visit-ready"):
            try:
                events = self.decoding.events(record)
            except UndecodableError:
                continue
            for event in events:
                # Delivered again, an event is none of its own.
                if (
                    isinstance(event, VisitReady)
                    and self.selection.takes(event)
                    and event.event_id not in seen
                ):
                    seen.add(event.event_id)
                    yield _alone(record, event, len(events)), event

    def templates_used(self) -> Mapping[str, Sequence[TemplateUse]]:
        """Return which versions the visit of each event id was compared with."""
        used: dict[str, Sequence[TemplateUse]] = {}
        for record in self._records("visit-processed"):
            try:
                report = decode_event(record)
            except UndecodableError:
                continue
            if isinstance(report, VisitProcessed) and report.templates:
                used[report.event_id] = report.templates
        return used

    def _records(self, topic: str) -> Iterator[ConsumedRecord]:
        """Yield the records of a topic, whatever its prefix."""
        for file in self.files:
            for record in read_log(file, allow_cut=is_open(file)):
                if record.topic.endswith(topic):
                    yield record


def _alone(record: ConsumedRecord, event: VisitReady, n_events: int) -> ConsumedRecord:
    """Return the record of one of the events that a foreign message stands for."""
    if n_events == 1:
        return record
    return replace(record, value=encode_event(event), headers=())


def pinned(record: ConsumedRecord, uses: Iterable[TemplateUse]) -> ConsumedRecord:
    """Return a record that also tells which templates its visit is compared with."""
    versions = json.dumps({use.template_id: use.version for use in uses})
    headers = (*record.headers, (PINNED, versions.encode()))
    return replace(record, headers=headers)


def pins_of(record: ConsumedRecord) -> Mapping[str, int] | None:
    """Return what `pinned` has added to a record; `None` if it has not."""
    value = dict(record.headers).get(PINNED)
    return None if value is None else json.loads(value)
