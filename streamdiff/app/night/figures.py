"""The figures by which a night is judged, visit by visit."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf, isfinite

import numpy as np

from streamdiff.model import Outcome, VisitProcessed

_QUANTILES = (10, 50, 90)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A metric of visits.

    Attributes
    ----------
    metric : str
        Its name in visit-processed.
    group : str
        What it tells of.
    title : str
    unit : str
    meaning : str
        How to read it, in a sentence.
    low, high : float
        A visit beyond these should be looked at.
    """

    metric: str
    group: str
    title: str
    unit: str = ""
    meaning: str = ""
    low: float = -inf
    high: float = inf

    def is_odd(self, value: float) -> bool:
        """Return whether a value should be looked at."""
        return not self.low <= value <= self.high


FIGURES = (
    Figure(
        metric="difference_noise_ratio",
        group="Noise",
        title="noise ratio",
        meaning="scatter of blank sky on the difference over its error; 1 is right",
        low=0.9,
        high=1.1,
    ),
    Figure(
        metric="sky_pull_std",
        group="Noise",
        title="scatter of empty places",
        meaning="PSF fluxes there over their errors ([pipeline] sky_sources); "
        "1 is right",
        low=0.8,
        high=1.25,
    ),
    Figure(
        metric="science_variance_scale",
        group="Noise",
        title="correction of the variance plane",
        meaning="what the science image's was multiplied with",
        low=0.5,
        high=2.0,
    ),
    Figure(
        metric="difference_limiting_magnitude",
        group="Noise",
        title="depth",
        unit="AB mag",
        meaning="point source of 5 sigma",
    ),
    Figure(
        metric="science_psf_fwhm_pixel",
        group="PSF",
        title="science PSF",
        unit="px FWHM",
    ),
    Figure(
        metric="template_psf_fwhm_pixel",
        group="PSF",
        title="template PSF",
        unit="px FWHM",
    ),
    Figure(
        metric="template_offset_pixel",
        group="PSF",
        title="offset of stars from the template",
        unit="px",
        high=1.0,
    ),
    Figure(
        metric="difference_footprint_ratio_mean",
        group="Kernel",
        title="light left of stars",
        meaning="over the light that they have",
        high=0.1,
    ),
    Figure(
        metric="kernel_spatial_rms_mean",
        group="Kernel",
        title="residuals of kernel candidates",
        meaning="in units of their noise, after the spatial fit",
        high=1.5,
    ),
    Figure(
        metric="kernel_candidates_kept",
        group="Kernel",
        title="kernel candidates kept",
        low=3,
    ),
    Figure(
        metric="kernel_sum",
        group="Kernel",
        title="kernel sum",
        meaning="flux of a star on the science image over that on the template",
    ),
    Figure(
        metric="template_coverage",
        group="Template",
        title="template coverage",
        meaning="part of the image that has a template",
        low=0.8,
    ),
)


def values_of(report: VisitProcessed) -> Mapping[str, float]:
    """Return the metrics of a visit, and those that are made of several."""
    values = {n: v for n, v in report.metrics.items() if isfinite(v)}
    x, y = (values.get(f"template_offset_{axis}_pixel") for axis in "xy")
    if x is not None and y is not None:
        values["template_offset_pixel"] = float(np.hypot(x, y))
    if "n_kernel_candidates" in values:
        rejected = values.get("n_kernel_rejected", 0.0)
        values["kernel_candidates_kept"] = values["n_kernel_candidates"] - rejected
    return values


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How a figure is spread over the visits of a band."""

    band: str
    n: int
    p10: float
    p50: float
    p90: float
    n_odd: int


def spreads(figure: Figure, reports: Iterable[VisitProcessed]) -> list[Spread]:
    """Return the spread of a figure in each band that has it."""
    values: dict[str, list[float]] = {}
    for report in reports:
        value = values_of(report).get(figure.metric)
        if value is not None:
            values.setdefault(report.band, []).append(value)
    return [_spread(figure, band, values[band]) for band in sorted(values)]


def _spread(figure: Figure, band: str, values: list[float]) -> Spread:
    p10, p50, p90 = np.percentile(values, _QUANTILES).tolist()
    n_odd = sum(map(figure.is_odd, values))
    return Spread(band=band, n=len(values), p10=p10, p50=p50, p90=p90, n_odd=n_odd)


@dataclass(frozen=True, slots=True, kw_only=True)
class Odd:
    """A visit that should be looked at, and why."""

    visit: int
    detector: int
    band: str
    why: tuple[str, ...]


def odd_visits(reports: Iterable[VisitProcessed]) -> list[Odd]:
    """Return the processed visits with figures beyond their limits, worst first."""
    found = []
    for report in reports:
        if report.outcome is not Outcome.PROCESSED:
            continue
        values = values_of(report)
        why = tuple(
            f"{figure.title} {values[figure.metric]:.3g}"
            for figure in FIGURES
            if figure.metric in values and figure.is_odd(values[figure.metric])
        )
        if why:
            visit, detector = report.visit, report.detector
            found.append(Odd(visit=visit, detector=detector, band=report.band, why=why))
    return sorted(found, key=lambda odd: (-len(odd.why), odd.visit, odd.detector))
