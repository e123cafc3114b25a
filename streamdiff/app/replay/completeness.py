"""How many of the injected sources were found, and with which fluxes."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamdiff.app.output import RECOVERY_SUFFIX
from streamdiff.app.pages.charts import INK, chart_png, new_chart
from streamdiff.imaging.noise import robust_std
from streamdiff.imaging.quality import AB_NANOJANSKY

# Width of the bins of magnitudes, and edges of those of signal over noise.
_MAGNITUDES = 0.5
_SNR_TICKS = (3, 4, 5, 7, 10, 15, 20, 30, 60)
SNR_EDGES = (1e-3, 3.0, 4.0, 5.0, 6.0, 7.0, 8.5, 10.0, 15.0, 20.0, 30.0, 60.0, np.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletenessBin:
    """The injected sources of a range of brightness.

    Attributes
    ----------
    low, high : float
        Ideal signal over noise in the science image, or AB magnitudes.
    n, n_found : int
    flux_ratio : float
        Median of measured over true flux, at the true positions; NaN for none.
    pull_std : float
        Robust scatter of the errors of these fluxes over what they claim to be.
    """

    low: float
    high: float
    n: int
    n_found: int
    flux_ratio: float
    pull_std: float

    @property
    def completeness(self) -> float:
        """Return the part that was found."""
        return self.n_found / self.n

    @property
    def error(self) -> float:
        """Return the standard error of the completeness (Wilson's, at 1 sigma)."""
        p, n = self.completeness, self.n
        return float(np.sqrt(p * (1 - p) / n + 1 / (4 * n**2)) / (1 + 1 / n))


def read_recovery(directory: Path) -> dict[str, NDArray[np.float64]]:
    """Return the injected sources of all visits that a replay wrote into a folder."""
    columns: dict[str, list[float]] = {}
    for path in sorted(directory.glob(f"*{RECOVERY_SUFFIX}")):
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                for name, text in row.items():
                    value = float(text == "True") if text in _BOOLEANS else float(text)
                    columns.setdefault(name, []).append(value)
    return {name: np.array(values) for name, values in columns.items()}


_BOOLEANS = ("True", "False")


def completeness(
    recovery: Mapping[str, NDArray[np.float64]], *, magnitudes: bool = False
) -> tuple[CompletenessBin, ...]:
    """Return the bins that have sources, in the order of their numbers.

    Parameters
    ----------
    recovery : mapping of str to ndarray
        What `read_recovery` returns.
    magnitudes : bool
        Whether bins are of AB magnitudes, for fluxes in nJy, instead of signal over
        noise.
    """
    if not recovery:
        return ()
    edges: NDArray[np.float64] = np.array(SNR_EDGES)
    brightness = recovery["snr"]
    if magnitudes:
        brightness = AB_NANOJANSKY - 2.5 * np.log10(recovery["flux"])
        first, last = np.floor(brightness.min()), np.ceil(brightness.max())
        edges = np.arange(first, last + 2 * _MAGNITUDES, _MAGNITUDES)
    which = np.digitize(brightness, edges) - 1
    return tuple(
        _bin(float(edges[i]), float(edges[i + 1]), recovery, which == i)
        for i in np.unique(which).tolist()
    )


def _bin(
    low: float,
    high: float,
    recovery: Mapping[str, NDArray[np.float64]],
    inside: NDArray[np.bool_],
) -> CompletenessBin:
    flux, forced, error = (
        recovery[name][inside] for name in ("flux", "forced_flux", "forced_flux_error")
    )
    measured = np.isfinite(forced) & (error > 0)
    ratio, pulls = (
        forced[measured] / flux[measured],
        (forced - flux)[measured] / error[measured],
    )
    return CompletenessBin(
        low=low,
        high=high,
        n=int(inside.sum()),
        n_found=int(recovery["is_found"][inside].sum()),
        flux_ratio=float(np.median(ratio)) if ratio.size else float("nan"),
        pull_std=robust_std(pulls),
    )


def completeness_picture(
    curves: Mapping[str, Sequence[CompletenessBin]], *, magnitudes: bool = False
) -> bytes:
    """Return a PNG of the completeness against brightness, one curve a name."""
    figure, axes = new_chart(7, 4)
    figure.subplots_adjust(left=0.1, right=0.97, bottom=0.13, top=0.96)
    for name, bins in curves.items():
        axes.errorbar(
            [(b.low + min(b.high, 2 * b.low)) / 2 for b in bins],
            [b.completeness for b in bins],
            yerr=[b.error for b in bins],
            marker="o",
            capsize=3,
            label=f"{name} ({_total(bins)} sources)",
        )
    axes.set(ylabel="part of the injected sources that is found", ylim=(-0.03, 1.03))
    if magnitudes:
        axes.set(xlabel="AB magnitude")
    else:
        axes.set(xscale="log", xlabel="ideal signal over noise in the science image")
        axes.set_xticks(_SNR_TICKS, [f"{tick:g}" for tick in _SNR_TICKS])
        axes.set_xticks([], minor=True)
    axes.grid(alpha=0.3)
    if curves:
        axes.legend(frameon=False, labelcolor=INK)
    return chart_png(figure)


def _total(bins: Iterable[CompletenessBin]) -> int:
    return sum(b.n for b in bins)
