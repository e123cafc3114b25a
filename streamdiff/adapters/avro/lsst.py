"""Alerts under the schema files of LSST, which the operator provides.

A field of theirs is filled from ours of the same name, where the types agree. What
else they require is found at the start: see `lsst_format`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, cast

import fastavro.schema
from annotated_types import Ge, Le

from streamdiff.adapters.avro import wire
from streamdiff.adapters.avro.alert import alert_fields
from streamdiff.adapters.avro.binary import INT_MAX, RecordEncoder, compile_encoder
from streamdiff.adapters.avro.schemas import SCHEMA_HEADER, Schema, load
from streamdiff.model import DETECTION_COLUMNS, Alert

ALERT_FILE = re.compile(r"lsst\.v(\d+)_(\d+)\.alert\.avsc")
PROCESSED = "timeProcessedMjdTai"
# Ours -> its record, for those with fields of their own.
_RECORDS: Mapping[str, str] = {
    "diaSource": "diaSource",
    "prvDiaSources": "diaSource",
    "prvDiaForcedSources": "diaForcedSource",
    "diaObject": "diaObject",
    "ssSource": "ssSource",
}
# Alerts of other versions do without, where these require more of it.
_OPTIONAL = frozenset({"ssSource"})
# What a row always has, though our schema does not insist on it.
_ALWAYS = {PROCESSED, *(column.name for column in DETECTION_COLUMNS)}
_NUMBERS = frozenset({"int", "long", "float", "double"})

Filler = bool | int | float | str


@dataclass(frozen=True, kw_only=True)
class LsstFormat:
    """LSST's record behind the five bytes of Confluent, as LSST sends it.

    Attributes
    ----------
    name : str
        Full name of the alert's record, such as ``lsst.v10_0.alert``.
    schema_id : int
        On the wire.
    schema : dict
        LSST's Avro schema of alerts.
    fitted : str
        The same as JSON, with what is filled in and what is always missing.
    compress_cutouts : bool
        Whether cutouts are gzipped FITS.
    """

    name: str
    schema_id: int
    schema: Schema
    fitted: str
    compress_cutouts: bool = False

    @property
    def content_type(self) -> str:
        """Return the MIME type of the message."""
        return "application/vnd.confluent.avro"

    @property
    def headers(self) -> Mapping[str, bytes]:
        """Return the name of the schema."""
        return {SCHEMA_HEADER: self.name.encode()}

    def with_schema_id(self, schema_id: int) -> "LsstFormat":
        """Return the format with the id that a registry has given to its schema."""
        return replace(self, schema_id=schema_id)

    def encode(self, alert: Alert) -> bytes:
        """Return the message of one alert.

        Raises
        ------
        PluginContractError
            If a field that LSST requires has no value.
        """
        fields = alert_fields(alert, compressed=self.compress_cutouts)
        timed = {
            name: fields[name] and [_timed(row) for row in fields[name]]
            for name in ("prvDiaSources", "prvDiaForcedSources")
        }
        values = fields | timed | {"diaSource": _timed(alert.dia_source)}
        return _encoder(self.fitted)(values, before=wire.header(self.schema_id))


def lsst_format(
    *,
    folder: str,
    defaults: Mapping[str, Filler] | None = None,
    schema_id: Annotated[int, Ge(0), Le(INT_MAX)] = 0,
    compress_cutouts: bool = False,
) -> LsstFormat:
    """Return the format of alerts under the LSST schemas in a folder.

    Parameters
    ----------
    folder : str
        Schema files of one version, such as ``schema/10/0`` of LSST's alert_packet.
    defaults : mapping of str to value, optional
        What fields are to be that LSST requires and alerts lack, by record and
        name, such as ``diaSource.programId``.
    schema_id : int
        On the wire; 0 for LSST's own, 100 major + minor.
    compress_cutouts : bool
        Whether cutouts are gzipped FITS, which LSST's are not.

    Raises
    ------
    ValueError
        If there are no such schemas, or they require what alerts have not: all
        such fields are named.

    Notes
    -----
    LSST requires two things of a row that it may lack here. Counts of data without
    a value are 0. A time of processing that is not known is that of mid-exposure, the
    earliest that it can have been: the same alert has the same bytes whenever it is
    encoded, and the header ``producer_timestamp`` tells when.
    """
    path, (major, minor) = _alert_file(Path(folder))
    try:
        theirs = cast(Schema, fastavro.schema.load_schema(str(path)))
    except Exception as err:  # files of somebody else: fastavro may raise anything
        raise ValueError(f"folder: {path} is no schema: {err!s:.200}") from err
    if "diaSource" not in dict(_records(theirs)):
        raise ValueError(f"folder: {path} is no alert: it has no record diaSource")
    fitting = _Fitting(defaults=dict(defaults or {}))
    fitted = fitting.alert(theirs)
    if fitting.unmapped:
        raise ValueError(
            f"folder: {path.name} requires what alerts have not: "
            f"{', '.join(fitting.unmapped)}; give them values in `defaults`, or take "
            "another version"
        )
    compile_encoder(fitted)  # what can not be encoded is found now
    return LsstFormat(
        name=theirs["name"],
        schema_id=schema_id or 100 * major + minor,
        schema=theirs,
        fitted=json.dumps(fitted),
        compress_cutouts=compress_cutouts,
    )


def _alert_file(folder: Path) -> tuple[Path, tuple[int, int]]:
    """Return the alert's schema file in a folder, and its version."""
    names = sorted(path.name for path in folder.glob("*.avsc"))
    found = [match for name in names if (match := ALERT_FILE.fullmatch(name))]
    if len(found) != 1:
        raise ValueError(
            f"folder: {folder} must hold one file lsst.v<major>_<minor>.alert.avsc, "
            f"has {[match[0] for match in found] or 'none'}"
        )
    return folder / found[0][0], (int(found[0][1]), int(found[0][2]))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fitting:
    """Fits their schema to our records.

    Attributes
    ----------
    defaults : mapping of str to value
    unmapped : list of str
        Required fields that nothing fills, as they are found.
    """

    defaults: Mapping[str, Filler]
    unmapped: list[str] = field(default_factory=list)

    def alert(self, theirs: Schema) -> Schema:
        """Return their schema of alerts with what is absent nailed to null."""
        records = dict(_records(theirs))
        fitted = {
            name: record
            for name in dict.fromkeys(_RECORDS.values())
            if name in records
            and (record := self._record(records[name], name)) is not None
        }
        ours = {f["name"]: f for f in load("alert")["fields"]}
        fields = []
        for theirs_ in theirs["fields"]:
            name = theirs_["name"]
            if name in _RECORDS and _RECORDS[name] in fitted:
                type_ = _with_records(theirs_["type"], fitted)
                fields.append(theirs_ | {"type": type_})
            else:
                fields.append(self._field(theirs_, ours, "alert"))
        return theirs | {"fields": fields}

    def _record(self, theirs: Schema, record: str) -> Schema | None:
        """Return a record as it will be filled; `None` for one that will not be."""
        ours = {f["name"]: f for f in load(record)["fields"]}
        before = len(self.unmapped)
        fields = [self._field(f, ours, record) for f in theirs["fields"]]
        if record in _OPTIONAL and len(self.unmapped) > before:
            del self.unmapped[before:]
            return None
        return theirs | {"fields": fields}

    def _field(self, theirs: Schema, ours: Mapping[str, Schema], record: str) -> Schema:
        """Return a field as it will be filled: with a default, if it needs one."""
        name, type_ = theirs["name"], theirs["type"]
        own = ours.get(name)
        if own is not None and _agree(type_, own["type"]):
            may_lack = "default" in own and name not in _ALWAYS
            if isinstance(type_, list) or not may_lack:
                return theirs
        if isinstance(type_, list) and type_[0] == "null":
            return theirs | {"type": ["null"]}
        filler = self._filler(theirs, record)
        if filler is None:
            self.unmapped.append(f"{record}.{name} ({_text(type_)})")
            return theirs | {"type": ["null"]}
        return theirs | {"default": filler}

    def _filler(self, theirs: Schema, record: str) -> Any:  # noqa: ANN401
        given = self.defaults.get(f"{record}.{theirs['name']}", theirs.get("default"))
        is_count = theirs["name"].endswith("Ndata") and theirs["type"] in _NUMBERS
        return 0 if given is None and is_count else given


def _records(schema: Any) -> Iterator[tuple[str, Schema]]:  # noqa: ANN401
    """Yield the records inside a schema, by their short names."""
    match schema:
        case {"type": "record", "name": str(name)}:
            yield name.rpartition(".")[2], schema
            for part in schema["fields"]:
                yield from _records(part["type"])
        case {"type": "array", "items": items}:
            yield from _records(items)
        case list():
            for part in schema:
                yield from _records(part)


def _with_records(type_: Any, fitted: Mapping[str, Schema]) -> Any:  # noqa: ANN401
    """Return a type with the fitted records in it, written out or named."""
    match type_:
        case list():
            return [_with_records(part, fitted) for part in type_]
        case {"type": "array"}:
            return type_ | {"items": _with_records(type_["items"], fitted)}
        case {"type": "record", "name": str(name)}:
            return fitted[name.rpartition(".")[2]]
    return type_


def _agree(theirs: Any, ours: Any) -> bool:  # noqa: ANN401
    """Return whether a value of our type can be one of theirs."""
    a, b = _inner(theirs), _inner(ours)
    return a == b or (a in _NUMBERS and b in _NUMBERS)


def _inner(type_: Any) -> str:  # noqa: ANN401
    if isinstance(type_, list) and len(type_) == 2 and type_[0] == "null":
        type_ = type_[1]
    return type_ if isinstance(type_, str) else _text(type_)


def _text(type_: Any) -> str:  # noqa: ANN401
    return (
        str(type_.get("logicalType", type_)) if isinstance(type_, dict) else str(type_)
    )


def _timed(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a row with a time of processing."""
    if row.get(PROCESSED) is not None:
        return row
    return {**row, PROCESSED: row.get("midpointMjdTai")}


@lru_cache(maxsize=4)
def _encoder(schema: str) -> RecordEncoder:
    """Return what encodes a schema: formats themselves hold data only."""
    return compile_encoder(json.loads(schema))
