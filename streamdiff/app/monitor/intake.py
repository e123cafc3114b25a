"""From records of the stream, and from files, to what the monitor keeps."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import fastavro
import structlog

from streamdiff.adapters.avro.events import decode_event
from streamdiff.adapters.avro.schemas import Schema, load
from streamdiff.adapters.event_log import RECORD, SUFFIX, read_log
from streamdiff.app.alerts.reading import (
    ALERTS,
    REPORTS,
    Record,
    alerts_of,
    require_dia_source,
)
from streamdiff.app.monitor.packets import Packet
from streamdiff.app.monitor.recent import Recent
from streamdiff.app.monitor.rows import AlertRow
from streamdiff.errors import StreamdiffError, UndecodableError
from streamdiff.model import VisitProcessed, VisitReady
from streamdiff.ports import ConsumedRecord

log = structlog.get_logger(__name__)

EVENTS = "visit-ready"
_MAX_TEXT = 300
# (modification time [ns], size) of a file.
_State = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """Sorts records into what the monitor keeps.

    What can not be read is a problem that the monitor shows, never the end of it.

    Attributes
    ----------
    recent : Recent
    alerts_topic : str or None
        Topic of the alerts; by default any that ends in ``alerts``.
    """

    recent: Recent
    alerts_topic: str | None = None

    def take(self, record: ConsumedRecord, source: str) -> None:
        """Take a record of the stream; those of other topics are passed over."""
        try:
            if self._holds_alerts(record.topic):
                schema = load("alert")
                for alert in alerts_of(record, source):
                    self.take_alert(alert, schema, source)
            elif record.topic.endswith((EVENTS, REPORTS)):
                self._take_event(record)
        except StreamdiffError as err:
            self.complain(err)

    def take_alert(self, record: Record, schema: Schema, source: str) -> None:
        """Take an alert under its schema."""
        try:
            row, packet = AlertRow.of(record), Packet.of(record, schema)
        except Exception as err:  # foreign records: any field may be anything
            raise UndecodableError(f"{source}: {err!s:.200} in an alert") from err
        self.recent.add_alert(row, packet)

    def complain(self, error: Exception) -> None:
        """Log what could not be read, and show it."""
        text = str(error)[:_MAX_TEXT]
        log.warning("monitor_could_not_read", problem=text)
        self.recent.add_problem(text)

    def _holds_alerts(self, topic: str) -> bool:
        chosen = self.alerts_topic
        return topic.endswith(ALERTS) if chosen is None else topic == chosen

    def _take_event(self, record: ConsumedRecord) -> None:
        match decode_event(record):
            case VisitReady() as event:
                self.recent.add_event(event)
            case VisitProcessed() as report:
                self.recent.add_report(report)


@dataclass(slots=True, kw_only=True)
class FileIntake:
    """Reads alerts, event logs and folders of either, and again what has changed.

    Attributes
    ----------
    paths : tuple of Path
    intake : Intake
    """

    paths: tuple[Path, ...]
    intake: Intake
    _states: dict[Path, _State] = field(default_factory=dict)
    _taken: dict[Path, int] = field(default_factory=dict)

    def read(self) -> int:
        """Read what is new; return the number of files that were."""
        changed = [
            (path, state) for path, state in self._files() if self._is_new(path, state)
        ]
        for path, state in changed:
            try:
                self._read_file(path)
            except StreamdiffError as err:
                self.intake.complain(err)
            self._states[path] = state
        return len(changed)

    def _files(self) -> Iterator[tuple[Path, _State]]:
        """Yield the files that there are, the oldest first."""
        found: dict[Path, _State] = {}
        for path in self.paths:
            for file in path.rglob(f"*{SUFFIX}") if path.is_dir() else [path]:
                try:
                    told = file.stat()
                except OSError as err:
                    problem = UndecodableError(
                        f"{file}: can not be read: {err.strerror}"
                    )
                    self.intake.complain(problem)
                    continue
                found[file] = told.st_mtime_ns, told.st_size
        yield from sorted(found.items(), key=lambda item: (item[1][0], item[0]))

    def _is_new(self, path: Path, state: _State) -> bool:
        return self._states.get(path) != state

    def _read_file(self, path: Path) -> None:
        schema = _writer_schema(path)
        if schema.get("name") == load(RECORD)["name"]:
            self._read_log(path)
            return
        for number, record in enumerate(_records(path)):
            where = f"{path}: alert {number}"
            require_dia_source(record, where)
            self.intake.take_alert(record, schema, where)

    def _read_log(self, path: Path) -> None:
        """Read an event log that may have grown since it was read before."""
        before = self._taken.get(path, 0)
        for number, record in enumerate(read_log(path, allow_cut=True)):
            if number >= before:
                self._taken[path] = number + 1
                self.intake.take(record, str(path))


def _writer_schema(path: Path) -> Schema:
    try:
        with path.open("rb") as file:
            schema = fastavro.reader(file).writer_schema
        parsed = fastavro.parse_schema(schema)
    except OSError as err:
        raise UndecodableError(f"{path}: can not be read: {err.strerror}") from err
    except Exception as err:  # hostile bytes: fastavro may raise anything
        raise UndecodableError(f"{path} is no Avro container: {err!s:.200}") from err
    if not isinstance(parsed, dict):
        raise UndecodableError(f"{path} holds no records")
    return parsed


def _records(path: Path) -> Iterator[Record]:
    with path.open("rb") as file:
        records = iter(fastavro.reader(file))
        while True:
            try:
                record = next(records, None)
            except Exception as err:  # damaged bytes, the same
                raise UndecodableError(f"{path} is damaged: {err!s:.200}") from err
            if not isinstance(record, dict):
                return
            yield cast(dict[str, Any], record)
