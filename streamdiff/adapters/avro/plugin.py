"""The wire formats of alerts, as plugins."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Annotated, Literal

from annotated_types import Ge, Le
from fastavro.schema import fingerprint, to_parsing_canonical_form

from streamdiff.adapters.avro import wire
from streamdiff.adapters.avro.alert import alert_fields
from streamdiff.adapters.avro.binary import INT_MAX, RecordEncoder, compile_encoder
from streamdiff.adapters.avro.container import ContainerFrame
from streamdiff.adapters.avro.lsst import lsst_format
from streamdiff.adapters.avro.schemas import SCHEMA_HEADER, Schema, load, schema_id
from streamdiff.hookspecs import hookimpl
from streamdiff.model import Alert
from streamdiff.stages import AlertFormat

SINGLE_OBJECT_MARK = b"\xc3\x01"


@dataclass(frozen=True, kw_only=True)
class ConfluentFormat:
    """The id of the schema, then the record: the smallest message.

    Attributes
    ----------
    id_offset : int
        Added to the schema id, so that ids do not clash with a registry's.
    schema_id : int
        On the wire; 0 for streamdiff's own, 100 major + minor.
    compress_cutouts : bool
        Whether cutouts are gzipped FITS.
    """

    id_offset: Annotated[int, Ge(0)] = 0
    schema_id: Annotated[int, Ge(0), Le(INT_MAX)] = 0
    compress_cutouts: bool = False

    @property
    def content_type(self) -> str:
        """Return the MIME type of the message."""
        return "application/vnd.confluent.avro"

    @property
    def headers(self) -> Mapping[str, bytes]:
        """Return the name of the schema."""
        return schema_header("alert")

    @property
    def schema(self) -> Schema:
        """Return the Avro schema of the messages."""
        return load("alert")

    def with_schema_id(self, schema_id: int) -> "ConfluentFormat":
        """Return the format with the id that a registry has given to its schema."""
        return replace(self, schema_id=schema_id)

    def encode(self, alert: Alert) -> bytes:
        """Return the message of one alert."""
        return encode_alert(
            alert, compressed=self.compress_cutouts, before=self._header
        )

    @cached_property
    def _header(self) -> bytes:
        own = schema_id("alert", offset=self.id_offset)
        return wire.header(self.schema_id or own)


@dataclass(frozen=True, kw_only=True)
class ContainerFormat:
    """An object container with one record: each message brings its schema.

    Readers of ZTF's alerts expect such messages, and those of SCiMMA's Hopskotch,
    which go by the header ``_format``.

    Attributes
    ----------
    codec : str
        Compression of the record.
    compress_cutouts : bool
        Whether cutouts are gzipped FITS.
    """

    codec: Literal["null", "deflate"] = "null"
    compress_cutouts: bool = False

    @property
    def content_type(self) -> str:
        """Return the MIME type of the message."""
        return "application/avro"

    @property
    def headers(self) -> Mapping[str, bytes]:
        """Return the name of the schema, and how Hopskotch's clients decode it."""
        return {**schema_header("alert"), "_format": b"avro"}

    def encode(self, alert: Alert) -> bytes:
        """Return the message of one alert."""
        body = encode_alert(alert, compressed=self.compress_cutouts)
        return self._frame.around(body, str(alert.dia_source["diaSourceId"]))

    @cached_property
    def _frame(self) -> ContainerFrame:
        return ContainerFrame.of(load("alert"), codec=self.codec)


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleObjectFormat:
    """Avro's single-object encoding: the schema's fingerprint, then the record.

    Attributes
    ----------
    compress_cutouts : bool
        Whether cutouts are gzipped FITS.
    """

    compress_cutouts: bool = False

    @property
    def content_type(self) -> str:
        """Return the MIME type of the message."""
        return "application/vnd.apache.avro.single-object"

    @property
    def headers(self) -> Mapping[str, bytes]:
        """Return the name of the schema."""
        return schema_header("alert")

    def encode(self, alert: Alert) -> bytes:
        """Return the message of one alert."""
        return encode_alert(
            alert, compressed=self.compress_cutouts, before=_single_object_header()
        )


def schema_header(record: str) -> Mapping[str, bytes]:
    """Return the header that names the schema of a message."""
    return {SCHEMA_HEADER: load(record)["name"].encode()}


def encode_alert(
    alert: Alert, *, compressed: bool = False, before: bytes = b""
) -> bytes:
    """Return an alert's record in Avro's binary encoding, after other bytes.

    Raises
    ------
    PluginContractError
        If a field that every alert must have is missing.
    """
    return _alert_encoder()(alert_fields(alert, compressed=compressed), before=before)


@cache
def _alert_encoder() -> RecordEncoder:
    return compile_encoder(load("alert"))


@cache
def _single_object_header() -> bytes:
    """Return the mark, and the little-endian CRC-64-AVRO of the alert schema."""
    canonical = to_parsing_canonical_form(load("alert"))
    return SINGLE_OBJECT_MARK + bytes.fromhex(fingerprint(canonical, "CRC-64-AVRO"))


@hookimpl
def streamdiff_alert_formats() -> Mapping[str, Callable[..., AlertFormat]]:
    """Offer ``streamdiff``, ``lsst``, ``ocf`` and ``single_object``."""
    return {
        "streamdiff": ConfluentFormat,
        "lsst": lsst_format,
        "ocf": ContainerFormat,
        "single_object": SingleObjectFormat,
    }
