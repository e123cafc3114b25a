"""One alert in full, and one DiaObject over time, for a terminal."""

import re
from collections.abc import Iterable, Iterator

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from streamdiff.adapters.avro.schemas import load
from streamdiff.app.alerts.light_curves import FluxPoint, LightCurves, dia_object_of
from streamdiff.app.alerts.reading import Record
from streamdiff.app.alerts.report import flux_unit
from streamdiff.app.alerts.selection import true_flags
from streamdiff.app.alerts.triplets import Triplet
from streamdiff.cli.alert_pictures import curve_text, triplet_text

_UNIT = re.compile(r"\[([^]]+)\]")


def alert_details(record: Record, console: Console) -> RenderableType:
    """Return all that an alert says: values, flags, cutouts, earlier fluxes."""
    parts: list[RenderableType] = [_values(record)]
    if flags := true_flags(record["diaSource"]):
        parts.append(Text(f"flags: {' '.join(flags)}"))
    colours = console.color_system is not None
    triplet = triplet_text(Triplet.of(record), console.width, colours=colours)
    parts += [Text(""), triplet]
    curves = LightCurves()
    curves.add(record)
    dia_object_id = dia_object_of(record)
    points = () if dia_object_id is None else curves.curve(dia_object_id)
    if points:
        parts += [Text(""), curve_text(points, console.width, flux_unit(record))]
    return Group(*parts)


def object_details(
    dia_object_id: int, records: Iterable[Record], console: Console
) -> RenderableType:
    """Return the light curve of a DiaObject, from all alerts that tell of it."""
    curves, unit, n_alerts = LightCurves(), "nJy", 0
    for record in records:
        curves.add(record)
        unit = flux_unit(record)
        n_alerts += 1
    points = sorted(curves.points.get(dia_object_id, {}).values())
    told = Text(f"DiaObject {dia_object_id}: {n_alerts} alerts, {len(points)} fluxes")
    if not points:
        return told
    curve = curve_text(points, console.width, unit)
    return Group(told, Text(""), _points_table(points, unit), Text(""), curve)


def _values(record: Record) -> Table:
    """Return the values of an alert's DiaSource, each with its error and unit."""
    source = record["diaSource"]
    table = Table(box=None, padding=(0, 1, 0, 0))
    for heading, justify in (
        ("field", "left"),
        ("value", "right"),
        ("error", "right"),
        ("unit", "left"),
    ):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    units = dict(_units(flux_unit(record)))
    for name, value in source.items():
        is_error = name.endswith("Err") and name.removesuffix("Err") in source
        if value is None or isinstance(value, bool) or is_error:
            continue
        error = source.get(f"{name}Err")
        table.add_row(name, _text(value), _text(error), units.get(name, ""))
    return table


def _units(flux: str) -> Iterator[tuple[str, str]]:
    """Yield the unit of each field, as the schema has it."""
    for field in load("diaSource")["fields"]:
        if found := _UNIT.findall(field["doc"]):
            unit = found[-1].replace("nJy", flux)
            yield field["name"], "" if unit in {"dimensionless", "count"} else unit


def _text(value: float | str | None) -> str:
    if value is None:
        return ""
    # a position needs all digits that it has
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _points_table(points: Iterable[FluxPoint], unit: str) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0))
    for heading in ("MJD TAI", "band", f"flux [{unit}]", "error", ""):
        is_text = heading in {"band", ""}
        table.add_column(heading, justify="left" if is_text else "right")
    for point in points:
        table.add_row(
            f"{point.midpoint_mjd_tai:.6f}",
            point.band,
            f"{point.flux:.5g}",
            f"{point.error:.3g}" if point.error else "",
            "forced" if point.is_forced else "",
        )
    return table
