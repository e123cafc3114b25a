"""Events and reports <-> messages."""

import math
from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any

from streamdiff.adapters.avro import wire
from streamdiff.adapters.avro.plain_json import read_json
from streamdiff.adapters.avro.schemas import SCHEMA_HEADER, load, named_schema
from streamdiff.errors import UndecodableError
from streamdiff.model import (
    Action,
    CoaddInput,
    ExposureId,
    Outcome,
    Provenance,
    Reason,
    TemplateId,
    TemplateRebuilt,
    TemplateUpdate,
    TemplateUse,
    VisitProcessed,
    VisitReady,
)
from streamdiff.ports import ConsumedRecord

Event = VisitReady | TemplateUpdate | VisitProcessed | TemplateRebuilt

JSON_TYPE = "application/json"

# The record that each topic carries; topics may have any prefix.
RECORD_OF_TOPIC = {
    "visit-ready": "visitReady",
    "template-update": "templateUpdate",
    "visit-processed": "visitProcessed",
    "template-rebuilt": "templateRebuilt",
}


def encode_event(
    event: Event, *, id_offset: int = 0, ids: Mapping[str, int] = MappingProxyType({})
) -> bytes:
    """Return the message of an event or a report.

    Values of metrics and stage times that are not finite are left out: a missing
    value is never written as NaN.

    Parameters
    ----------
    event : Event
    id_offset : int
    ids : mapping of str to int
        What a registry calls the schemas of records, by their names. Such a message
        needs the headers of `schema_headers`.
    """
    name, values = _record(event)
    return wire.encode(name, values, id_offset=id_offset, registered=ids.get(name))


def schema_headers(
    event: Event, ids: Mapping[str, int]
) -> tuple[tuple[str, bytes], ...]:
    """Return what tells the schema of a message whose id is a registry's."""
    name, _ = _record(event)
    return ((SCHEMA_HEADER, load(name)["name"].encode()),) if name in ids else ()


def decode_event(record: ConsumedRecord, *, id_offset: int = 0) -> Event:
    """Return the event or report that a record of a stream holds.

    The value is Avro in the Confluent wire format or, with the header
    ``content-type: application/json``, the same record in JSON. The header
    ``streamdiff.schema`` counts more than the id of the schema.

    Raises
    ------
    UndecodableError
        If it is no event, not one of its topic, or breaks a rule of its model.
    """
    if record.value is None:
        raise UndecodableError("the record has no value")
    expected = _record_of(record.topic)
    if _is_json(record):
        if expected is None:
            raise UndecodableError(
                f"JSON on topic {record.topic}: which record it holds is known only "
                f"on topics that end in one of {list(RECORD_OF_TOPIC)}"
            )
        return _event(expected, read_json(expected, record.value))
    named = named_schema(record.headers)
    name, values = wire.decode(record.value, id_offset=id_offset, record=named)
    if expected not in {None, name}:
        raise UndecodableError(f"topic {record.topic} carries {expected}, got {name}")
    return _event(name, values)


def message_key(event: Event) -> bytes | None:
    """Return the key of an event's message, which decides its partition.

    Visits are keyed by instrument and detector, templates by tract, patch and
    band; an update of every patch that exposures touch has no key.
    """
    match event:
        case VisitReady() | VisitProcessed():
            return f"{event.instrument}/{event.detector}".encode()
        case TemplateUpdate(tract=None):
            return None
        case TemplateUpdate():
            return f"{event.tract}/{event.patch}/{event.band}".encode()
        case TemplateRebuilt():
            return event.template_id.partition("/")[2].encode() or None


def events_from_json_lines(
    text: str,
    *,
    record: str = "visitReady",
    defaults: Mapping[str, Any] | None = None,
) -> tuple[Event, ...]:
    """Return the events of a text with one JSON object per line.

    Parameters
    ----------
    text : str
        Empty lines are passed over.
    record : str
        ``visitReady`` or ``templateUpdate``.
    defaults : mapping of str to value, optional
        JSON values of fields that a line does not give, such as the time of
        publication.

    Raises
    ------
    UndecodableError
        If a line holds no event; it is named by its number.
    """
    lines = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
    return tuple(_from_line(n, line, record, defaults or {}) for n, line in lines)


def _from_line(
    number: int, line: str, record: str, defaults: Mapping[str, Any]
) -> Event:
    try:
        return _event(record, read_json(record, line, defaults=defaults))
    except UndecodableError as err:
        raise UndecodableError(f"line {number}: {err}") from err


def _is_json(record: ConsumedRecord) -> bool:
    types = [v for name, v in record.headers if name.lower() == "content-type" and v]
    return any(v.split(b";")[0].strip().lower() == JSON_TYPE.encode() for v in types)


def _record_of(topic: str) -> str | None:
    return next(
        (r for name, r in RECORD_OF_TOPIC.items() if topic.endswith(name)), None
    )


def _record(event: Event) -> tuple[str, dict[str, Any]]:
    """Return the name and the fields of an event's Avro record."""
    values = _fields(event)
    match event:
        case VisitReady():
            return "visitReady", values
        case TemplateUpdate():
            exposures = [_fields(exposure) for exposure in event.exposures]
            return "templateUpdate", values | {"exposures": exposures}
        case VisitProcessed():
            del values["provenance"]
            return "visitProcessed", values | _fields(event.provenance) | {
                "detail": _writable(event.detail),
                "metrics": _finite(event.metrics),
                "stage_seconds": _finite(event.stage_seconds),
                "templates": [_fields(use) for use in event.templates],
            }
        case TemplateRebuilt():
            return "templateRebuilt", values | {
                "metrics": _finite(event.metrics),
                "inputs": [_coadd_input_fields(i) for i in event.inputs],
            }


def _fields(noun: Any) -> dict[str, Any]:  # noqa: ANN401 (any dataclass)
    return {f.name: getattr(noun, f.name) for f in fields(noun)}


def _coadd_input_fields(coadd_input: CoaddInput) -> dict[str, Any]:
    id_ = coadd_input.id
    return {
        "accepted": coadd_input.accepted,
        "instrument": id_.instrument,
        "visit": id_.visit,
        "detector": id_.detector,
        "reason": _writable(coadd_input.reason),
        "weight": coadd_input.weight if math.isfinite(coadd_input.weight) else 0.0,
    }


def _writable(text: str | None) -> str | None:
    """Return text that may quote a file name, which need not be UTF-8."""
    return None if text is None else text.encode(errors="replace").decode()


def _finite(values: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if math.isfinite(value)}


def _event(record: str, values: dict[str, Any]) -> Event:
    """Return the model's noun for the fields of an Avro record."""
    try:
        match record:
            case "visitReady":
                return VisitReady(**values)
            case "templateUpdate":
                return _template_update(values)
            case "visitProcessed":
                return _visit_processed(values)
            case "templateRebuilt":
                return _template_rebuilt(values)
    except ValueError as err:
        raise UndecodableError(f"{record}: {err}") from err
    raise UndecodableError(f"{record} is no event, it has a topic of its own")


def _template_update(values: dict[str, Any]) -> TemplateUpdate:
    exposures = tuple(VisitReady(**exposure) for exposure in values["exposures"])
    action = Action(values["action"])
    return TemplateUpdate(**values | {"exposures": exposures, "action": action})


def _visit_processed(values: dict[str, Any]) -> VisitProcessed:
    provenance = Provenance(**{f.name: values.pop(f.name) for f in fields(Provenance)})
    templates = tuple(TemplateUse(**use) for use in values["templates"])
    nouns = {"templates": templates, "provenance": provenance}
    return VisitProcessed(**values | _ending(values) | nouns)


def _template_rebuilt(values: dict[str, Any]) -> TemplateRebuilt:
    inputs = tuple(_coadd_input(i, values["template_id"]) for i in values["inputs"])
    return TemplateRebuilt(**values | _ending(values) | {"inputs": inputs})


def _coadd_input(values: Mapping[str, Any], template_id: str) -> CoaddInput:
    """Return an input of a coadd, whose exposures are all of the template's band."""
    id_ = ExposureId(
        instrument=values["instrument"],
        visit=values["visit"],
        detector=values["detector"],
        band=TemplateId.parse(template_id).band,
    )
    return CoaddInput(
        id=id_,
        weight=values["weight"],
        accepted=values["accepted"],
        reason=values["reason"],
    )


def _ending(values: Mapping[str, Any]) -> dict[str, Any]:
    reason = values["reason"]
    return {
        "outcome": Outcome(values["outcome"]),
        "reason": None if reason is None else Reason(reason),
    }
