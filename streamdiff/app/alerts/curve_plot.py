"""Where everything lies in the picture of a light curve, which pages draw as SVG."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil, floor, log10

from streamdiff.app.alerts.light_curves import FluxPoint

WIDTH, HEIGHT = 560, 250
LEFT, RIGHT, TOP, BOTTOM = 84, 440, 10, 200
_LEGEND, _LINE = 454, 18
_TICKS = 5
# Of the range of values, free on each side.
_MARGIN = 0.06
# The bands that have a colour of their own, by wavelength.
_BANDS = tuple("ugrizy")

Scale = Callable[[float], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A number beside an axis.

    Attributes
    ----------
    at : float
        Along the axis [px].
    text : str
    """

    at: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A flux, or its line in the legend.

    Attributes
    ----------
    x, y : float
        [px]
    low, high : float
        Ends of its error bar, along y [px].
    kind : str
        Classes of the style sheet: band, and whether it was forced.
    text : str
        What it is.
    """

    x: float
    y: float
    low: float
    high: float
    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePlot:
    """A light curve as it is drawn.

    Attributes
    ----------
    times, fluxes : tuple of Tick
        Of the two axes.
    zero : float
        Where no flux is, along y [px].
    marks, legend : tuple of Mark
        Forced fluxes first: what was detected lies over them.
    unit : str
        Of the fluxes.
    """

    times: tuple[Tick, ...]
    fluxes: tuple[Tick, ...]
    zero: float
    marks: tuple[Mark, ...]
    legend: tuple[Mark, ...]
    unit: str

    @classmethod
    def of(cls, points: Sequence[FluxPoint], unit: str) -> "CurvePlot":
        """Return the picture of a light curve, which has at least one point."""
        times = [point.midpoint_mjd_tai for point in points]
        # No flux is always there: it is what fluxes are compared with.
        lows = [0.0, *(point.flux - point.error for point in points)]
        highs = [0.0, *(point.flux + point.error for point in points)]
        first, last = _widened(min(times), max(times))
        low, high = _widened(min(lows), max(highs))
        x, y = _scale(first, last, LEFT, RIGHT), _scale(low, high, BOTTOM, TOP)
        ordered = sorted(points, key=_forced_first)
        return cls(
            times=tuple(_ticks(first, last, x)),
            fluxes=tuple(_ticks(low, high, y)),
            zero=y(0.0),
            marks=tuple(_mark(point, x, y, unit) for point in ordered),
            legend=tuple(_legend(ordered)),
            unit=unit,
        )


def _forced_first(point: FluxPoint) -> tuple[bool, str, float]:
    return not point.is_forced, point.band, point.midpoint_mjd_tai


def _widened(low: float, high: float) -> tuple[float, float]:
    margin = _MARGIN * (high - low) or 0.5
    return low - margin, high + margin


def _scale(low: float, high: float, begin: int, end: int) -> Scale:
    """Return what takes values to pixels, of which a tenth is seen."""
    return lambda value: round(begin + (value - low) / (high - low) * (end - begin), 1)


def _ticks(low: float, high: float, scale: Scale) -> Iterator[Tick]:
    """Yield round numbers between two limits."""
    rough = (high - low) / _TICKS
    power = 10.0 ** floor(log10(rough))
    step = power * next(m for m in (1, 2, 5, 10) if m * power >= rough)
    digits = max(0, -floor(log10(step)))
    for n in range(ceil(low / step), floor(high / step) + 1):
        yield Tick(at=scale(n * step), text=f"{n * step:.{digits}f}")


def _mark(point: FluxPoint, x: Scale, y: Scale, unit: str) -> Mark:
    error = f" ± {point.error:.3g}" if point.error else ""
    return Mark(
        x=x(point.midpoint_mjd_tai),
        y=y(point.flux),
        low=y(point.flux - point.error),
        high=y(point.flux + point.error),
        kind=_kind(point),
        text=f"{_name(point)}: {point.flux:.4g}{error} {unit} "
        f"at MJD {point.midpoint_mjd_tai:.5f}",
    )


def _legend(ordered: Sequence[FluxPoint]) -> Iterator[Mark]:
    kinds = [next(same) for _, same in groupby(ordered, key=_name)]
    kinds.sort(key=_by_wavelength)
    for line, point in enumerate(kinds):
        y = TOP + 8 + _LINE * line
        yield Mark(x=_LEGEND, y=y, low=y, high=y, kind=_kind(point), text=_name(point))


def _by_wavelength(point: FluxPoint) -> tuple[int, str, bool]:
    known = point.band in _BANDS
    place = _BANDS.index(point.band) if known else len(_BANDS)
    return place, point.band, point.is_forced


def _name(point: FluxPoint) -> str:
    band = point.band or "flux"
    return f"{band}, forced" if point.is_forced else band


def _kind(point: FluxPoint) -> str:
    band = point.band if point.band in _BANDS else "other"
    return f"band-{band} forced" if point.is_forced else f"band-{band}"
