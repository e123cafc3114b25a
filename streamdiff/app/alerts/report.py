"""The page about alerts: triplets, measurements, light curves."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streamdiff.app.alerts.curve_plot import CurvePlot
from streamdiff.app.alerts.light_curves import LightCurves, dia_object_of
from streamdiff.app.alerts.reading import Record
from streamdiff.app.alerts.selection import true_flags
from streamdiff.app.alerts.triplets import Triplet
from streamdiff.app.pages.page import write_page
from streamdiff.app.pages.pictures import data_uri

_TEMPLATE = "report.html.j2"
# Measurement -> the field of its error, and its unit; "flux" is that of the alert.
_MEASUREMENTS: tuple[tuple[str, str | None, str], ...] = (
    ("psfFlux", "psfFluxErr", "flux"),
    ("apFlux", "apFluxErr", "flux"),
    ("scienceFlux", "scienceFluxErr", "flux"),
    ("templateFlux", "templateFluxErr", "flux"),
    ("dipoleFluxDiff", "dipoleFluxDiffErr", "flux"),
    ("dipoleLength", "dipoleLengthErr", "arcsec"),
    ("trailLength", "trailLengthErr", "arcsec"),
    ("extendedness", None, ""),
    ("reliability", None, ""),
)


@dataclass(slots=True, kw_only=True)
class _Gathered:
    """What is kept of the alerts: the cards of those shown, and all fluxes."""

    cards: list[dict[str, Any]] = field(default_factory=list)
    curves: LightCurves = field(default_factory=LightCurves)
    units: dict[int, str] = field(default_factory=dict)
    total: int = 0


def write_report(path: Path, alerts: Iterable[Record], *, limit: int) -> int:
    """Write a page about alerts; it holds its pictures and needs no other file.

    Parameters
    ----------
    path : Path
    alerts : iterable of mapping
        Records of alerts; one is in memory at a time.
    limit : int
        Most alerts that are shown; the light curves have the fluxes of all.

    Returns
    -------
    int
        Number of alerts that are shown.

    Raises
    ------
    StoreUnavailableError
        If the page can not be written.
    """
    found = _gathered(alerts, limit)
    objects = list(_objects(found))
    write_page(
        path,
        __package__,
        _TEMPLATE,
        title="Alerts",
        cards=found.cards,
        total=found.total,
        objects=objects,
        with_curve={item["id"] for item in objects},
    )
    return len(found.cards)


def _gathered(alerts: Iterable[Record], limit: int) -> _Gathered:
    found = _Gathered()
    for record in alerts:
        found.total += 1
        found.curves.add(record)
        if len(found.cards) < limit:
            found.cards.append(_card(record))
            dia_object_id = dia_object_of(record)
            if dia_object_id is not None:
                found.units.setdefault(dia_object_id, flux_unit(record))
    return found


def flux_unit(record: Record) -> str:
    """Return the unit of an alert's fluxes."""
    unit: str = (record.get("provenance") or {}).get("flux_unit", "nJy")
    return unit


def _card(record: Record) -> dict[str, Any]:
    source = record["diaSource"]
    snr = source.get("snr")
    return {
        "id": record["diaSourceId"],
        "visit": source["visit"],
        "detector": source["detector"],
        "band": source.get("band") or "",
        "position": f"{source['ra']:.6f} {source['dec']:+.6f}",
        "mjd": f"{source['midpointMjdTai']:.6f}",
        "snr": "" if snr is None else f"{snr:.1f}",
        "picture": data_uri(Triplet.of(record).png()),
        "measurements": list(measurements(source, flux_unit(record))),
        "flags": ", ".join(true_flags(source)),
        "object": dia_object_of(record),
    }


def measurements(source: Mapping[str, Any], unit: str) -> Iterator[dict[str, str]]:
    """Yield what a page tells of a DiaSource: name, value, error and unit, as text."""
    for name, error_name, its_unit in _MEASUREMENTS:
        value = source.get(name)
        if value is None:
            continue
        error = source.get(error_name) if error_name else None
        yield {
            "name": name,
            "value": f"{value:.4g}",
            "error": "" if error is None else f"{error:.3g}",
            "unit": unit if its_unit == "flux" else its_unit,
        }


def _objects(found: _Gathered) -> Iterator[dict[str, Any]]:
    for dia_object_id, unit in found.units.items():
        points = found.curves.curve(dia_object_id)
        if points:
            plot = CurvePlot.of(points, unit)
            yield {"id": dia_object_id, "n": len(points), "plot": plot}
