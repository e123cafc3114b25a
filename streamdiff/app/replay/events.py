"""The events of event logs that a replay is about."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from streamdiff.adapters.archive.verify import is_open
from streamdiff.adapters.avro.events import decode_event, encode_event
from streamdiff.adapters.event_log import log_files, read_log
from streamdiff.app.decoding import Decoding
from streamdiff.errors import UndecodableError
from streamdiff.model import VisitProcessed, VisitReady
from streamdiff.pipeline.result import TIME_METRIC
from streamdiff.ports import ConsumedRecord

# Tells a worker, as JSON, how a visit was processed before.
PINNED = "streamdiff.replay.pins"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pins:
    """How a visit was processed before, and is to be again.

    Attributes
    ----------
    templates : mapping of str to int, or None
        The version of each template that was used, by template id.
    processed_mjd_tai : float or None
        When that was.
    """

    templates: Mapping[str, int] | None = None
    processed_mjd_tai: float | None = None

    @classmethod
    def of(cls, report: VisitProcessed) -> "Pins":
        """Return what a report tells."""
        return cls(
            templates={use.template_id: use.version for use in report.templates},
            processed_mjd_tai=report.metrics.get(TIME_METRIC),
        )


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

    def pins(self) -> Mapping[str, Pins]:
        """Return how the visit of each event id was processed, where it was."""
        pins: dict[str, Pins] = {}
        for record in self._records("visit-processed"):
            try:
                report = decode_event(record)
            except UndecodableError:
                continue
            if isinstance(report, VisitProcessed) and report.templates:
                pins[report.event_id] = Pins.of(report)
        return pins

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


def pinned(record: ConsumedRecord, pins: Pins) -> ConsumedRecord:
    """Return a record that also tells how its visit is to be processed."""
    told = json.dumps(asdict(pins)).encode()
    return replace(record, headers=(*record.headers, (PINNED, told)))


def pins_of(record: ConsumedRecord) -> Pins:
    """Return what `pinned` has added to a record."""
    told = dict(record.headers).get(PINNED)
    return Pins() if told is None else Pins(**json.loads(told))
