"""From a record of the stream to the events that it stands for."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import structlog

from streamdiff.adapters.avro.events import decode_event
from streamdiff.errors import UndecodableError
from streamdiff.model import PreloadHint, TemplateUpdate, VisitReady
from streamdiff.pipeline.side_effects import SideEffects, watch
from streamdiff.ports import ConsumedRecord
from streamdiff.stages import EventDecoder

log = structlog.get_logger(__name__)

Event: TypeAlias = VisitReady | TemplateUpdate | PreloadHint

# An update of a thousand exposures has half a megabyte.
MAX_MESSAGE_BYTES = 4 << 20
MAX_HEADER_BYTES = 64 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """Reads streamdiff's own events, and foreign messages through plugins.

    Attributes
    ----------
    decoders : sequence of EventDecoder
        Asked in this order for what is no event of streamdiff.
    """

    decoders: Sequence[EventDecoder] = ()

    def events(self, record: ConsumedRecord) -> Sequence[Event]:
        """Return the events of a record, or hints; it may stand for nothing.

        Raises
        ------
        UndecodableError
            If no decoder can read it.
        """
        _check_size(record)
        try:
            return (_own_event(record),)
        except UndecodableError as err:
            reasons = [str(err)]
        for decoder in self.decoders:
            try:
                return _checked(_decoded(decoder, record))
            except KeyboardInterrupt:
                raise
            except BaseException as err:  # noqa: BLE001 (the next decoder may do)
                kind = "" if isinstance(err, UndecodableError) else type(err).__name__
                told = ": ".join(filter(None, (type(decoder).__name__, kind, str(err))))
                reasons.append(told)
        raise UndecodableError("; ".join(reasons))


def _decoded(decoder: EventDecoder, record: ConsumedRecord) -> Sequence[Event]:
    """Return what a decoder makes of a record; it may leave no trace."""
    effects = SideEffects()
    name = type(decoder).__name__
    try:
        with watch(effects):
            return decoder.decode(record)
    finally:
        for effect in effects.found:
            log.warning(
                "plugin_left_traces", stage="decode", plugin=name, effect=effect
            )


def _check_size(record: ConsumedRecord) -> None:
    size = len(record.value or b"")
    if size > MAX_MESSAGE_BYTES:
        raise UndecodableError(
            f"message of {size} bytes: an event has at most {MAX_MESSAGE_BYTES}"
        )
    headers = sum(len(name) + len(value or b"") for name, value in record.headers)
    if headers > MAX_HEADER_BYTES:
        raise UndecodableError(
            f"headers of {headers} bytes: an event has at most {MAX_HEADER_BYTES}"
        )


def _own_event(record: ConsumedRecord) -> Event:
    event = decode_event(record)
    if isinstance(event, VisitReady | TemplateUpdate):
        return event
    raise UndecodableError(f"{type(event).__name__} is a report, not an event")


def _checked(events: Iterable[Event]) -> Sequence[Event]:
    """Return what a decoder gave, if these are events."""
    checked = tuple(events)
    for event in checked:
        if not isinstance(event, Event):
            raise TypeError(f"it returned {type(event).__name__}, not an event")
    return checked
