"""Archived records into the topics of a cluster, with the spacing that they had."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from streamdiff.adapters.avro.events import encode_event
from streamdiff.app.decoding import Decoding
from streamdiff.app.replay.events import Selection
from streamdiff.app.topics import Topics
from streamdiff.errors import UndecodableError
from streamdiff.model import PreloadHint, TemplateUpdate, VisitReady
from streamdiff.ports import Clock, ConsumedRecord, OutgoingRecord, Producer

# Records that are sent at once where there is no spacing to keep.
_BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewriting:
    """What is changed in events that are sent again; nothing by default.

    Attributes
    ----------
    times : bool
        Events are published now.
    id_suffix : str
        Added to the id of each event, so that it is an event of its own.
    """

    times: bool = False
    id_suffix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """How records are sent again.

    Attributes
    ----------
    producer : Producer
    topics : Topics
        Those that the records go to.
    decoding : Decoding
    clock : Clock
    sleep : callable
        Waits for a number of seconds.
    speed : float or None
        How much faster than they were recorded; `None` for as fast as possible.
    selection : Selection
        Of visits; template updates are all sent.
    rewriting : Rewriting
    """

    producer: Producer
    topics: Topics
    decoding: Decoding
    clock: Clock
    sleep: Callable[[float], None]
    speed: float | None = None
    selection: Selection = field(default_factory=Selection)
    rewriting: Rewriting = Rewriting()

    def send(
        self, records: Iterable[ConsumedRecord], tell: Callable[[int], None]
    ) -> int:
        """Return how many records were sent, all of them acknowledged.

        Parameters
        ----------
        records : iterable of ConsumedRecord
            Those of other topics than visit-ready and template-update are left out.
        tell : callable
            Gets the number of those sent so far.

        Raises
        ------
        RetryableError, TooLargeError, StreamError
            See `Producer.send`.
        """
        first_ms: int | None = None
        start_s, n_sent = self.clock.monotonic(), 0
        batch: list[OutgoingRecord] = []
        for record in records:
            outgoing = self._outgoing(record)
            if outgoing is None:
                continue
            if self.speed is not None:
                first_ms = record.timestamp_ms if first_ms is None else first_ms
                due_s = (record.timestamp_ms - first_ms) / 1000 / self.speed
                self._wait_until(start_s + due_s)
            batch.append(outgoing)
            if self.speed is not None or len(batch) >= _BATCH:
                n_sent += self._flush(batch)
                tell(n_sent)
        n_sent += self._flush(batch)
        tell(n_sent)
        return n_sent

    def _flush(self, batch: list[OutgoingRecord]) -> int:
        n = len(batch)
        if n:
            self.producer.send(batch)
            batch.clear()
        return n

    def _wait_until(self, time_s: float) -> None:
        remaining_s = time_s - self.clock.monotonic()
        if remaining_s > 0:
            self.sleep(remaining_s)

    def _outgoing(self, record: ConsumedRecord) -> OutgoingRecord | None:
        topic = self._topic(record)
        if topic is None:
            return None
        same = OutgoingRecord(
            topic=topic, key=record.key, value=record.value, headers=record.headers
        )
        if self.rewriting == Rewriting() and self.selection == Selection():
            return same
        try:
            (event,) = self.decoding.events(record)
        except (UndecodableError, ValueError):
            # What is no event of its own stays as it is, poison included.
            return same
        if isinstance(event, VisitReady) and not self.selection.takes(event):
            return None
        if self.rewriting == Rewriting() or isinstance(event, PreloadHint):
            return same
        return replace(same, value=encode_event(self._rewritten(event)), headers=())

    def _topic(self, record: ConsumedRecord) -> str | None:
        # The log may be of topics with another prefix.
        if record.topic.endswith("visit-ready"):
            return self.topics.visit_ready
        if record.topic.endswith("template-update"):
            return self.topics.template_update
        return None

    def _rewritten(
        self, event: VisitReady | TemplateUpdate
    ) -> VisitReady | TemplateUpdate:
        event = replace(event, event_id=event.event_id + self.rewriting.id_suffix)
        if not self.rewriting.times:
            return event
        now = datetime.fromtimestamp(self.clock.time(), tz=UTC)
        return replace(event, published_at=now)
