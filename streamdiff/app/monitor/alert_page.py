"""What the page of an alert shows."""

from collections.abc import Iterator, Mapping
from typing import Any

from streamdiff.app.alerts.light_curves import dia_object_of
from streamdiff.app.alerts.reading import Record
from streamdiff.app.alerts.report import flux_unit, measurements
from streamdiff.app.alerts.selection import true_flags, without_images
from streamdiff.app.monitor.cutouts import SHOWN, read_stamp
from streamdiff.app.monitor.rows import AlertRow, whole_number
from streamdiff.app.monitor.stamps import SCALES, ZOOMS
from streamdiff.errors import UnreadableImageError

_ZOOM = 6


def alert_values(record: Record, parameters: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of the template of an alert's page.

    Parameters
    ----------
    record : mapping
    parameters : mapping of str to str
        ``scale`` and ``zoom`` of the cutouts, as the address has them.
    """
    source = record["diaSource"]
    row = AlertRow.of(record)
    scale = parameters.get("scale", "")
    zoom = whole_number(parameters.get("zoom", ""))
    return {
        "title": f"Alert {row.id}",
        "row": row,
        "scale": scale if scale in SCALES else SCALES[0],
        "scales": SCALES,
        "zoom": zoom if zoom in ZOOMS else _ZOOM,
        "zooms": ZOOMS,
        "stamps": list(_stamps(record)),
        "measurements": list(measurements(source, flux_unit(record))),
        "flags": true_flags(source),
        "object": dia_object_of(record),
        "provenance": list(_lines(record.get("provenance") or {})),
        "fields": list(_lines(without_images(source))),
    }


def _stamps(record: Record) -> Iterator[dict[str, Any]]:
    for name in SHOWN:
        try:
            stamp = read_stamp(record, name)
        except UnreadableImageError as err:
            yield {"name": name, "problem": str(err)}
            continue
        if stamp is None:
            yield {"name": name, "problem": "not in the alert"}
            continue
        ny, nx = stamp.image.shape
        summary = stamp.summary()
        yield {"name": name, "problem": "", "nx": nx, "ny": ny, "summary": summary}


def _lines(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield names and values as text; those within others after a dot."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}.{key}", text) for key, text in _lines(value))
        elif isinstance(value, list):
            for number, item in enumerate(value):
                yield from _lines({f"{name}[{number}]": item})
        elif value is not None:
            yield name, str(value)
