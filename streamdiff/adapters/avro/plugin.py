"""The wire formats of alerts, as plugins."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import Annotated, Literal

import fastavro
from annotated_types import Ge
from fastavro.schema import fingerprint, to_parsing_canonical_form

from streamdiff.adapters.avro import wire
from streamdiff.adapters.avro.alert import alert_record
from streamdiff.adapters.avro.container import container_bytes
from streamdiff.adapters.avro.schemas import load
from streamdiff.hookspecs import hookimpl
from streamdiff.model import Alert
from streamdiff.stages import AlertFormat

SINGLE_OBJECT_MARK = b"\xc3\x01"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfluentFormat:
    """The id of the schema, then the record: the smallest message.

    Attributes
    ----------
    id_offset : int
        Added to the schema id, so that ids do not clash with a registry's.
    """

    id_offset: Annotated[int, Ge(0)] = 0

    @property
    def content_type(self) -> str:
        """Return the MIME type of the message."""
        return "application/vnd.confluent.avro"

    def encode(self, alert: Alert) -> bytes:
        """Return the message of one alert."""
        return wire.encode("alert", alert_record(alert), id_offset=self.id_offset)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerFormat:
    """An object container with one record: each message brings its schema.

    Attributes
    ----------
    codec : str
        Compression of the record.
    """

    codec: Literal["null", "deflate"] = "null"

    @property
    def content_type(self) -> str:
        """Return the MIME type of the message."""
        return "application/avro"

    def encode(self, alert: Alert) -> bytes:
        """Return the message of one alert."""
        return container_bytes([alert_record(alert)], codec=self.codec)


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleObjectFormat:
    """Avro's single-object encoding: the schema's fingerprint, then the record."""

    @property
    def content_type(self) -> str:
        """Return the MIME type of the message."""
        return "application/vnd.apache.avro.single-object"

    def encode(self, alert: Alert) -> bytes:
        """Return the message of one alert."""
        buffer = BytesIO()
        buffer.write(SINGLE_OBJECT_MARK + _alert_fingerprint())
        fastavro.schemaless_writer(
            buffer, load("alert"), alert_record(alert), strict_allow_default=True
        )
        return buffer.getvalue()


@cache
def _alert_fingerprint() -> bytes:
    """Return the CRC-64-AVRO fingerprint of the alert schema, little-endian."""
    canonical = to_parsing_canonical_form(load("alert"))
    return bytes.fromhex(fingerprint(canonical, "CRC-64-AVRO"))


@hookimpl
def streamdiff_alert_formats() -> Mapping[str, Callable[..., AlertFormat]]:
    """Offer ``streamdiff``, ``ocf`` and ``single_object``."""
    return {
        "streamdiff": ConfluentFormat,
        "ocf": ContainerFormat,
        "single_object": SingleObjectFormat,
    }
