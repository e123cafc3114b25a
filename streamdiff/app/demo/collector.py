"""Reads, while it runs, everything that the service sends."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from streamdiff.adapters.avro import wire
from streamdiff.adapters.avro.events import decode_event
from streamdiff.app.topics import Topics
from streamdiff.errors import StreamError
from streamdiff.model import TemplateRebuilt, VisitProcessed
from streamdiff.ports import ConsumedRecord, Transport

POLL_S = 0.1


class Collector:
    """A live reader of alerts and reports, in a thread of its own.

    Parameters
    ----------
    transport : Transport
    services : sequence of Topics
        The topics of each service that is read.

    Attributes
    ----------
    alerts : list of mapping
        As their Avro records have them.
    visits : list of VisitProcessed
    templates : list of TemplateRebuilt
    dead_letters : list of ConsumedRecord
    """

    def __init__(self, transport: Transport, services: Sequence[Topics]) -> None:
        self.alerts: list[Mapping[str, Any]] = []
        self.visits: list[VisitProcessed] = []
        self.templates: list[TemplateRebuilt] = []
        self.dead_letters: list[ConsumedRecord] = []
        self._transport = transport
        self._alerts = {topics.alerts(0, "") for topics in services}
        self._letters = {topics.dead_letter for topics in services}
        self._reports = {
            topic
            for topics in services
            for topic in (topics.visit_processed, topics.template_rebuilt)
        }
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._read, name="collector")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def wait_for(self, met: Callable[[], bool], *, timeout_s: float, what: str) -> None:
        """Return when a condition on what was read is met.

        Raises
        ------
        StreamError
            If that takes longer than the time allowed, or reading fails.
        """
        with self._changed:  # it is woken with every poll
            done = self._changed.wait_for(
                lambda: self._error is not None or met(), timeout_s
            )
        if self._error is not None:
            raise StreamError(f"reading the results failed: {self._error}")
        if not done:
            raise StreamError(f"no {what} within {timeout_s:.0f} s")

    def fail(self, error: Exception) -> None:
        """Wake who waits: what is waited for will not come."""
        with self._changed:
            self._error = error
            self._changed.notify_all()

    def _read(self) -> None:
        try:
            consumer = self._transport.consumer("demo-reader")
            consumer.subscribe(
                sorted(self._alerts | self._letters | self._reports),
                on_assign=_ignore,
                on_revoke=_ignore,
                on_lost=_ignore,
            )
            try:
                while not self._stop.is_set():
                    record = consumer.poll(POLL_S)
                    with self._changed:
                        if record is not None:
                            self._take(record)
                        self._changed.notify_all()
            finally:
                consumer.close()
        except Exception as err:  # noqa: BLE001 (it is raised where someone waits)
            self.fail(err)

    def _take(self, record: ConsumedRecord) -> None:
        if record.topic in self._letters:
            self.dead_letters.append(record)
        elif record.topic in self._alerts:
            self.alerts.append(wire.decode(record.value or b"")[1])
        else:
            self._take_report(record)

    def _take_report(self, record: ConsumedRecord) -> None:
        match decode_event(record):
            case VisitProcessed() as report:
                self.visits.append(report)
            case TemplateRebuilt() as report:
                self.templates.append(report)


def _ignore(_: object) -> None:
    """Do nothing: what was read is kept in memory, no offset is committed."""
