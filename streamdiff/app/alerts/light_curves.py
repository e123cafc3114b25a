"""Fluxes of DiaObjects over time, gathered from alerts and their histories."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import inf, isfinite
from typing import Any

from streamdiff.app.alerts.reading import Record

# A flux without another to compare it with is no curve.
MIN_POINTS = 2


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class FluxPoint:
    """A flux at a time.

    Attributes
    ----------
    midpoint_mjd_tai : float
    band : str
    flux, error : float
        On the difference image.
    is_forced : bool
        Whether it was measured without a detection.
    """

    midpoint_mjd_tai: float
    band: str
    flux: float
    error: float
    is_forced: bool


@dataclass(slots=True)
class LightCurves:
    """Gathers the fluxes of DiaObjects; each detection counts once.

    Attributes
    ----------
    points : dict
        For each diaObjectId its points, by kind and id.
    """

    points: dict[int, dict[tuple[bool, int], FluxPoint]] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        """Take an alert with its history."""
        dia_object_id = dia_object_of(record)
        if dia_object_id is None:
            return
        points = self.points.setdefault(dia_object_id, {})
        detected = [record["diaSource"], *(record.get("prvDiaSources") or [])]
        points.update(_points(detected, "diaSourceId", is_forced=False))
        forced = record.get("prvDiaForcedSources") or []
        points.update(_points(forced, "diaForcedSourceId", is_forced=True))

    def curve(self, dia_object_id: int) -> tuple[FluxPoint, ...]:
        """Return the points of a DiaObject, by time; none if there is no curve."""
        points = sorted(self.points.get(dia_object_id, {}).values())
        return tuple(points) if len(points) >= MIN_POINTS else ()


def dia_object_of(record: Record) -> int | None:
    """Return the diaObjectId of an alert; `None` where it has none."""
    return record["diaSource"].get("diaObjectId") or None


def _points(
    sources: Iterable[Mapping[str, Any]], key: str, *, is_forced: bool
) -> Iterator[tuple[tuple[bool, int], FluxPoint]]:
    """Yield the points of sources that have a flux."""
    for source in sources:
        flux, error = source.get("psfFlux"), source.get("psfFluxErr")
        if flux is not None and isfinite(flux):
            point = FluxPoint(
                midpoint_mjd_tai=source["midpointMjdTai"],
                band=source.get("band") or "",
                flux=flux,
                error=error if error is not None and 0 < error < inf else 0.0,
                is_forced=is_forced,
            )
            yield (is_forced, source[key]), point
