"""What a record of the stream is about: a visit, as far as it tells."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from streamdiff.adapters.avro import wire
from streamdiff.adapters.avro.events import decode_event
from streamdiff.errors import UndecodableError
from streamdiff.model import TemplateUpdate, VisitProcessed, VisitReady
from streamdiff.ports import ConsumedRecord

_WIRE = b"\x00"
_ORIGINAL_TOPIC = "streamdiff.dlq.topic"  # of a dead letter


@dataclass(frozen=True, slots=True)
class Subject:
    """A detector image, in a topic; `None` for what is not known.

    Attributes
    ----------
    topic : str
    visit, detector : int or None
    band, instrument : str or None
    """

    topic: str
    visit: int | None = None
    detector: int | None = None
    band: str | None = None
    instrument: str | None = None

    @property
    def order(self) -> tuple[int, int, str, str, str]:
        """Return what subjects are sorted by: visit, detector, band, topic."""
        return (
            -1 if self.visit is None else self.visit,
            -1 if self.detector is None else self.detector,
            self.band or "",
            self.topic,
            self.instrument or "",
        )


def subjects(record: ConsumedRecord) -> tuple[Subject, ...]:
    """Return what a record is about; a template-update is about its exposures.

    A record that can not be decoded is about nothing that is known.
    """
    try:
        name, values = _decoded(record)
    except UndecodableError:
        return (Subject(record.topic),)
    match name:
        case "alert":
            return (_subject(record.topic, values["diaSource"]),)
        case "templateUpdate" if values["exposures"]:
            found = (_subject(record.topic, each) for each in values["exposures"])
            return tuple(dict.fromkeys(found))
        case "templateRebuilt":
            band = values["template_id"].rpartition("/")[2]
            return (Subject(record.topic, band=band or None),)
        case _:
            return (_subject(record.topic, values),)


def _subject(topic: str, values: Mapping[str, Any]) -> Subject:
    names = ("visit", "detector", "band", "instrument")
    return Subject(topic, *(values.get(name) for name in names))


def _decoded(record: ConsumedRecord) -> tuple[str, Mapping[str, Any]]:
    """Return the name and the fields of the record that a value holds."""
    if record.value and record.value.startswith(_WIRE):
        return wire.decode(record.value)
    original = dict(record.headers).get(_ORIGINAL_TOPIC)
    topic = original.decode(errors="replace") if original else record.topic
    event = decode_event(replace(record, topic=topic))
    match event:
        case VisitReady() | VisitProcessed():
            return "visit", _fields(event)
        case TemplateUpdate():
            exposures = [_fields(exposure) for exposure in event.exposures]
            return "templateUpdate", {"exposures": exposures, "band": event.band}
        case _:
            return "templateRebuilt", {"template_id": event.template_id}


def _fields(event: VisitReady | VisitProcessed) -> dict[str, Any]:
    names = ("visit", "detector", "band", "instrument")
    return {name: getattr(event, name) for name in names}
