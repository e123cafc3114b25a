"""Alerts -> Avro records: missing values are null, never NaN."""

import math
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from typing import Any

import numpy as np

from streamdiff.adapters.avro.binary import (
    FLOAT32_MAX,
    INT_MAX,
    LONG_MAX,
)
from streamdiff.adapters.avro.schemas import load
from streamdiff.adapters.fits.cutout import encode_cutouts
from streamdiff.adapters.fits.planes import NANOJANSKY, UNCALIBRATED
from streamdiff.errors import PluginContractError
from streamdiff.model import Alert
from streamdiff.model.psf import nearest_pixel


def alert_fields(alert: Alert, *, compressed: bool = False) -> dict[str, Any]:
    """Return the fields of an alert's record, their scalars as they are.

    What `streamdiff.adapters.avro.binary` encodes.

    Parameters
    ----------
    alert : Alert
    compressed : bool
        Whether the cutouts are gzipped.
    """
    source = alert.dia_source
    cutouts = alert.cutout_difference, alert.cutout_science, alert.cutout_template
    difference, science, template = encode_cutouts(
        cutouts, corner=_corner(alert), compressed=compressed
    )
    return {
        "diaSourceId": source.get("diaSourceId"),
        "diaSource": source,
        # none are null, as LSST has it
        "prvDiaSources": alert.prv_dia_sources or None,
        "prvDiaForcedSources": alert.prv_dia_forced_sources or None,
        "diaObject": alert.dia_object,
        "cutoutDifference": difference,
        "cutoutScience": science,
        "cutoutTemplate": template,
        "provenance": _provenance_record(alert),
        "ssSource": alert.ss_source,
    }


def alert_record(alert: Alert) -> dict[str, Any]:
    """Return the fields of an alert's Avro record.

    Measured columns that the schema has not are left out, see `unmapped`.

    Raises
    ------
    PluginContractError
        If a field that every DiaSource must have is missing.
    """
    fields = alert_fields(alert)
    history = {
        name: fields[name] and [flat_record(record, row) for row in fields[name]]
        for name, record in (
            ("prvDiaSources", "diaSource"),
            ("prvDiaForcedSources", "diaForcedSource"),
        )
    }
    summaries = {
        record: fields[record] and flat_record(record, fields[record])
        for record in ("diaObject", "ssSource")
    }
    source = {"diaSource": dia_source_record(alert.dia_source)}
    return fields | history | summaries | source


def _corner(alert: Alert) -> tuple[int, int] | None:
    """Return the first column and row of the cutouts; `None` if it is not known."""
    cutout, source = alert.cutout_difference, alert.dia_source
    x, y = source.get("x"), source.get("y")
    if cutout is None or x is None or y is None or not math.isfinite(x + y):
        return None
    column, row = nearest_pixel(x, y)
    ny, nx = cutout.shape
    return column - nx // 2, row - ny // 2


def dia_source_record(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a DiaSource's Avro record, see `flat_record`."""
    return flat_record("diaSource", values)


def flat_record(record: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of an Avro record that holds scalars only.

    Parameters
    ----------
    record : str
        Its name: ``diaSource``, ``diaObject``, ``diaForcedSource`` or ``ssSource``.
    values : mapping of str to value
        Python or numpy scalars by column; `None`, NaN and infinities are missing
        values.

    Raises
    ------
    PluginContractError
        If a field that every such record must have is missing.
    """
    converters, required = _fields(record)
    fields = {
        name: convert(_python(values.get(name))) for name, convert in converters.items()
    }
    if missing := [name for name in required if fields[name] is None]:
        name, id_ = f"{record[0].upper()}{record[1:]}", values.get(f"{record}Id")
        raise PluginContractError(
            f"{name} {id_}: {missing} have no value, but every alert needs one"
        )
    return fields


def _provenance_record(alert: Alert) -> dict[str, Any]:
    provenance = alert.provenance
    return {
        "event_id": alert.event_id,
        "templates": [
            {
                "template_id": use.template_id,
                "version": use.version,
                "fraction": use.fraction,
            }
            for use in alert.templates
        ],
        "plugins": provenance.plugins,
        "config_hash": provenance.config_hash,
        "software_version": provenance.software_version,
        "flux_unit": NANOJANSKY if alert.photometric else UNCALIBRATED,
        "photometric": alert.photometric,
    }


def unmapped(columns: Iterable[str]) -> tuple[str, ...]:
    """Return the columns that alerts have no field for, in their order."""
    converters, _ = _fields("diaSource")
    return tuple(name for name in columns if name not in converters)


@cache
def _fields(
    record: str,
) -> tuple[Mapping[str, Callable[[Any], Any]], tuple[str, ...]]:
    """Return the converter of each field, and the fields without a default."""
    fields = load(record)["fields"]
    types = {f["name"]: f["type"] for f in fields}
    converters = {
        name: _CONVERTERS[t[1] if isinstance(t, list) else t]
        for name, t in types.items()
    }
    return converters, tuple(f["name"] for f in fields if "default" not in f)


def _python(value: Any) -> Any:  # noqa: ANN401 (any scalar)
    return value.item() if isinstance(value, np.generic) else value


def _number(
    value: float | None,
    *,
    type_: Callable[[float], float],
    limit: float = sys.float_info.max,
) -> float | None:
    # NaN fails every comparison, so that it is missing too
    return type_(value) if value is not None and abs(value) <= limit else None


def _boolean(value: float | None) -> bool | None:
    return bool(value) if value is not None and math.isfinite(value) else None


def _string(value: object) -> str | None:
    return None if value is None else str(value)


_CONVERTERS: Mapping[str, Callable[[Any], Any]] = {
    "float": partial(_number, type_=float, limit=FLOAT32_MAX),
    "double": partial(_number, type_=float),
    "int": partial(_number, type_=int, limit=INT_MAX),
    "long": partial(_number, type_=int, limit=LONG_MAX),
    "boolean": _boolean,
    "string": _string,
}
