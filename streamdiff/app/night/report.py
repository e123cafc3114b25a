"""The page on a night."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from streamdiff.app.night.archive import Night
from streamdiff.app.night.figures import FIGURES, Figure, values_of
from streamdiff.app.night.summary import Summary
from streamdiff.app.pages.charts import INK, band_colour, chart_png, new_chart
from streamdiff.app.pages.page import write_page
from streamdiff.app.pages.pictures import data_uri
from streamdiff.app.replay.completeness import completeness_picture
from streamdiff.model import Outcome, VisitProcessed, VisitReady

_TEMPLATE = "night.html.j2"
_MJD_OF_1970, _DAY_S = 40_587, 86_400
# Visits, and letters, that are listed.
_MOST_LISTED = 50


def write_night(path: Path, night: Night, found: Summary) -> None:
    """Write the page on a night; it holds its pictures and needs no other file.

    Raises
    ------
    StoreUnavailableError
        If the page can not be written.
    """
    write_page(
        path,
        __package__,
        _TEMPLATE,
        title="Night report",
        night=found,
        groups=_groups(night, found),
        curve=data_uri(completeness_picture({"injected": found.curve}))
        if found.curve
        else "",
        most=_MOST_LISTED,
    )


def _groups(night: Night, found: Summary) -> Mapping[str, list[dict[str, Any]]]:
    """Return what is shown of the figures that some visit has, by group."""
    processed = [r for r in night.reports.values() if r.outcome is Outcome.PROCESSED]
    groups: dict[str, list[dict[str, Any]]] = {}
    for figure in FIGURES:
        if not found.figures[figure.metric]:
            continue
        picture = _chart(figure, processed, night.events)
        groups.setdefault(figure.group, []).append(
            {
                "figure": figure,
                "limits": _limits(figure),
                "spreads": found.figures[figure.metric],
                "picture": data_uri(picture),
            }
        )
    return groups


def _limits(figure: Figure) -> str:
    low, high = f"{figure.low:g}", f"{figure.high:g}"
    match (figure.low > float("-inf"), figure.high < float("inf")):
        case (True, True):
            return f"expected: {low} to {high}"
        case (True, False):
            return f"expected: at least {low}"
        case (False, True):
            return f"expected: at most {high}"
    return ""


def _chart(
    figure: Figure,
    reports: Iterable[VisitProcessed],
    events: Mapping[str, VisitReady],
) -> bytes:
    """Return a figure against time, one colour per band, its limits dashed."""
    points: dict[str, list[tuple[float, float]]] = {}
    for report in reports:
        value = values_of(report).get(figure.metric)
        if value is not None:
            time = _time(report, events)
            points.setdefault(report.band, []).append((time, value))
    chart, axes = new_chart(4.6, 1.9)
    chart.subplots_adjust(left=0.16, right=0.86, bottom=0.24, top=0.95)
    for band, of_one in sorted(points.items()):
        x, y = zip(*of_one, strict=True)
        axes.plot(x, y, "o", markersize=3.5, color=band_colour(band), label=band)
    values = [value for of_one in points.values() for _, value in of_one]
    for limit in _near(figure, values):
        axes.axhline(limit, color=INK, linewidth=0.8, linestyle="--")
    axes.ticklabel_format(useOffset=False)
    axes.locator_params(axis="x", nbins=4)
    axes.set_xlabel("MJD [TAI]", fontsize=8)
    axes.legend(
        fontsize=8,
        frameon=False,
        labelcolor=INK,
        loc="upper left",
        bbox_to_anchor=(1.0, 1.05),
        handletextpad=0.1,
    )
    return chart_png(chart)


def _near(figure: Figure, values: list[float]) -> Iterator[float]:
    """Yield the limits that lie where the values do, or not far beyond."""
    low, high = min(values), max(values)
    reach = max(high - low, 0.2 * abs(high), 1e-12)
    for limit in (figure.low, figure.high):
        if low - reach <= limit <= high + reach:
            yield limit


def _time(report: VisitProcessed, events: Mapping[str, VisitReady]) -> float:
    """Return mid-exposure, or when the report was made, where that is not known."""
    event = events.get(report.event_id)
    if event is not None:
        return event.midpoint_mjd_tai
    return report.finished_at.timestamp() / _DAY_S + _MJD_OF_1970
