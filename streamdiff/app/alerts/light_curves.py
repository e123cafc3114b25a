"""Fluxes of DiaObjects over time, gathered from alerts and their histories."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import inf, isfinite
from typing import Any

from streamdiff.app.alerts.reading import Record
from streamdiff.app.pages.charts import INK, band_colour, chart_png, new_chart

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


def draw_curve(points: Iterable[FluxPoint], unit: str) -> bytes:
    """Return a light curve as PNG: one colour per band, forced fluxes hollow."""
    figure, axes = new_chart(6.4, 2.6)
    figure.subplots_adjust(left=0.17, right=0.8, bottom=0.2, top=0.94)
    series: dict[tuple[str, bool], list[FluxPoint]] = {}
    for point in points:
        series.setdefault((point.band, point.is_forced), []).append(point)
    # What was detected lies over what was forced.
    for (band, is_forced), of_one in sorted(series.items(), key=_forced_first):
        colour = band_colour(band)
        axes.errorbar(
            [p.midpoint_mjd_tai for p in of_one],
            [p.flux for p in of_one],
            yerr=[p.error for p in of_one],
            fmt="o",
            markersize=4,
            color=colour,
            markerfacecolor="none" if is_forced else colour,
            label=f"{band}, forced" if is_forced else band,
        )
    axes.axhline(0, color=INK, linewidth=0.8, zorder=0)
    axes.ticklabel_format(axis="x", useOffset=False)
    axes.locator_params(axis="x", nbins=5)  # days of five digits and their parts
    axes.set_xlabel("MJD [TAI]")
    axes.set_ylabel(f"flux [{unit}]")
    axes.yaxis.offsetText.set_color(INK)
    axes.legend(
        fontsize=8,
        frameon=False,
        labelcolor=INK,
        loc="upper left",
        bbox_to_anchor=(1.01, 1.02),
    )
    return chart_png(figure)


def _forced_first(
    series: tuple[tuple[str, bool], list[FluxPoint]],
) -> tuple[bool, str]:
    (band, is_forced), _ = series
    return not is_forced, band


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
