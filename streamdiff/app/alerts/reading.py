"""Reads alerts, one after the other, wherever they were written.

Containers of alerts, event logs that hold topics of alerts, and folders of either.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

import fastavro

from streamdiff.adapters.avro import wire
from streamdiff.adapters.avro.container import read_alerts
from streamdiff.adapters.avro.events import decode_event
from streamdiff.adapters.avro.schemas import SCHEMA_HEADER, load, named_schema
from streamdiff.adapters.event_log import RECORD, SUFFIX, read_log
from streamdiff.errors import ConfigError, UndecodableError
from streamdiff.model import Outcome, VisitProcessed
from streamdiff.ports import ConsumedRecord

ALERTS, REPORTS = "alerts", "visit-processed"
_CONTAINER, _SINGLE_OBJECT = b"Obj\x01", b"\xc3\x01"
_SINGLE_OBJECT_HEADER = 10
# The end of the names that `streamdiff.app.output.file_stem` gives.
_VISIT_AND_DETECTOR = re.compile(r"_(\d+)_(\d+)$")

# What every alert has, of whichever survey.
_NEEDED = ("visit", "detector", "ra", "dec", "midpointMjdTai")

Record = Mapping[str, Any]


class Place(NamedTuple):
    """Where an alert is: the file of a source, and its number in there."""

    file: int
    number: int


class VisitDetector(NamedTuple):
    """Name of the exposure that an alert is about."""

    visit: int
    detector: int


class Located(NamedTuple):
    """An alert and its place."""

    place: Place
    record: Record


class AlertSource(Protocol):
    """Alerts that can be read again."""

    def read(self) -> Iterator[Located | VisitDetector]:
        """Yield all alerts, and the exposures known to be processed."""
        ...

    def fetch(self, places: Iterable[Place]) -> Iterator[Located]:
        """Yield the alerts of some places, in the order of the places."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MemoryAlerts:
    """Alerts that are in memory already.

    Attributes
    ----------
    records : sequence of mapping
        As their Avro records have them.
    processed : iterable of VisitDetector
        Exposures that were processed, whether or not they gave an alert.
    """

    records: Sequence[Record]
    processed: Iterable[VisitDetector] = ()

    def read(self) -> Iterator[Located | VisitDetector]:
        """Yield all alerts, and the exposures known to be processed."""
        yield from self.processed
        for number, record in enumerate(self.records):
            yield Located(Place(0, number), record)

    def fetch(self, places: Iterable[Place]) -> Iterator[Located]:
        """Yield the alerts of some places, in the order of the places."""
        for place in sorted(places):
            yield Located(place, self.records[place.number])


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertFiles:
    """Alerts in files: one is in memory at a time.

    Attributes
    ----------
    paths : tuple of Path
        Containers of alerts, event logs, and folders of either.
    topic : str or None
        Topic of event logs to take alerts from; by default all that end in
        ``alerts``, which must be one and the same.

    Raises
    ------
    UndecodableError
        From all that reads: if a file is missing, damaged, or holds no alerts.
    ConfigError
        From all that reads: if a log has alerts of several topics and none is
        chosen.
    """

    paths: tuple[Path, ...]
    topic: str | None = None

    def read(self) -> Iterator[Located | VisitDetector]:
        """Yield all alerts, and the exposures known to be processed."""
        topics: set[str] = set()
        for index, path in enumerate(self.files()):
            yield from self._read_file(index, path, topics)

    def fetch(self, places: Iterable[Place]) -> Iterator[Located]:
        """Yield the alerts of some places, in the order of the places."""
        wanted: dict[int, set[int]] = {}
        for place in places:
            wanted.setdefault(place.file, set()).add(place.number)
        files = self.files()
        for index in sorted(wanted):
            yield from self._picked(index, files[index], wanted[index])

    def files(self) -> tuple[Path, ...]:
        """Return the containers that the paths name, in their order."""
        files = [
            file
            for path in self.paths
            for file in (sorted(path.rglob(f"*{SUFFIX}")) if path.is_dir() else [path])
        ]
        if not files:
            named = ", ".join(map(str, self.paths)) or "no path"
            raise UndecodableError(f"{named}: there are no alerts (*{SUFFIX})")
        return tuple(dict.fromkeys(files))

    def _picked(self, index: int, path: Path, numbers: set[int]) -> Iterator[Located]:
        left = len(numbers)
        for item in self._read_file(index, path, set()):
            if isinstance(item, Located) and item.place.number in numbers:
                yield item
                left -= 1
                if not left:
                    return

    def _read_file(
        self, index: int, path: Path, topics: set[str]
    ) -> Iterator[Located | VisitDetector]:
        if _record_of(path) == load(RECORD)["name"]:
            yield from self._read_log(index, path, topics)
            return
        number = -1
        for number, record in enumerate(read_alerts(path)):
            require_dia_source(record, f"{path}: alert {number}")
            yield Located(Place(index, number), record)
        named = _VISIT_AND_DETECTOR.search(path.stem)
        if number < 0 and named:  # it was processed, and there was nothing to tell
            yield VisitDetector(int(named[1]), int(named[2]))

    def _read_log(
        self, index: int, path: Path, topics: set[str]
    ) -> Iterator[Located | VisitDetector]:
        number = 0
        for logged in read_log(path):
            if self._is_chosen(logged.topic):
                topics.add(logged.topic)
                _require_one(topics, path)
                for record in alerts_of(logged, str(path)):
                    yield Located(Place(index, number), record)
                    number += 1
            elif self._reports_on(logged.topic):
                yield from _processed(logged)

    def _is_chosen(self, topic: str) -> bool:
        return topic.endswith(ALERTS) if self.topic is None else topic == self.topic

    def _reports_on(self, topic: str) -> bool:
        """Return whether a topic has the reports of the service that is read."""
        if not topic.endswith(REPORTS):
            return False
        prefix = topic.removesuffix(REPORTS)
        return self.topic is None or self.topic.startswith(f"{prefix}{ALERTS}")


def _record_of(path: Path) -> str:
    """Return the full name of the record that a container holds."""
    try:
        with path.open("rb") as file:
            schema = fastavro.reader(file).writer_schema
    except OSError as err:
        raise UndecodableError(f"{path}: can not be read: {err.strerror}") from err
    except Exception as err:  # hostile bytes: fastavro may raise anything
        raise UndecodableError(f"{path} is no Avro container: {err!s:.200}") from err
    fields = schema.get("fields", []) if isinstance(schema, dict) else []
    name = str(schema.get("name")) if isinstance(schema, dict) else str(schema)
    if name == load(RECORD)["name"] or any(f["name"] == "diaSource" for f in fields):
        return name
    raise UndecodableError(f"{path} holds {name}: expected alerts or an event log")


def _require_one(topics: set[str], path: Path) -> None:
    if len(topics) > 1:
        raise ConfigError(
            f"{path}: there are alerts of several topics, {', '.join(sorted(topics))}: "
            "name the one to read"
        )


def alerts_of(logged: ConsumedRecord, source: str) -> Iterator[Record]:
    """Yield the alerts of a message, in whichever format it is.

    Parameters
    ----------
    logged : ConsumedRecord
    source : str
        Where it was read, for errors.

    Raises
    ------
    UndecodableError
        If it is no alert of a DiaSource.
    """
    value = logged.value or b""
    where = f"{source}: {logged.topic} [{logged.partition}] at {logged.offset}"
    try:
        records = _decoded(value, logged.headers)
    except Exception as err:  # hostile bytes: fastavro may raise anything
        raise UndecodableError(f"{where} is no alert: {err!s:.200}") from err
    for record in records:
        require_dia_source(record, where)
        yield record


def _decoded(value: bytes, headers: Iterable[tuple[str, bytes | None]]) -> list[Record]:
    if value.startswith(_CONTAINER):
        return [cast(Record, record) for record in fastavro.reader(BytesIO(value))]
    if value.startswith(_SINGLE_OBJECT):
        body = BytesIO(value[_SINGLE_OBJECT_HEADER:])
        return [cast(Record, fastavro.schemaless_reader(body, load("alert"), None))]
    told = dict(headers).get(SCHEMA_HEADER) or b""
    if told.startswith(b"lsst."):
        name = told.decode("utf-8", "replace")
        raise ValueError(f"it is under {name}: read the topic of another format")
    return [wire.decode(value, record=named_schema(headers))[1]]


def require_dia_source(record: Record, where: str) -> None:
    """Check that a record has what every alert has, of whichever survey.

    Raises
    ------
    UndecodableError
        If it has not.
    """
    source = record.get("diaSource")
    lacking = [name for name in _NEEDED if source is None or source.get(name) is None]
    if lacking or record.get("diaSourceId") is None:
        raise UndecodableError(
            f"{where} is no alert of a DiaSource: {lacking or ['diaSourceId']} have no "
            "value"
        )


def _processed(logged: ConsumedRecord) -> Iterator[VisitDetector]:
    report = decode_event(logged)
    if isinstance(report, VisitProcessed) and report.outcome is Outcome.PROCESSED:
        yield VisitDetector(report.visit, report.detector)
