"""The numbers that the demo comes to."""

from dataclasses import asdict, dataclass
from math import isfinite

import numpy as np

from streamdiff.app.demo.run import DemoResult
from streamdiff.app.demo.score import SNR_BINS, completeness

# Changes with such an ideal S/N are bright.
BRIGHT = 10.0


def snr_range(low: float, high: float) -> str:
    """Return a range of S/N in words."""
    return f"{low:g} to {high:g}" if isfinite(high) else f"{low:g} and more"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """How well and how fast the demo did.

    Attributes
    ----------
    n_visits, n_templates : int
    n_produced, n_read : int
        Alerts that were sent, and that were read.
    n_bright, n_bright_found : int
        Changes with an ideal S/N of at least `BRIGHT`.
    n_false : int
        Alerts that belong to no change.
    false_per_megapixel : float
    visit_seconds, latency_seconds : float
        Medians of the work on a visit, and from its event to its report [s].
    completeness : tuple of (low, high, found, true)
        By ideal S/N.
    """

    n_visits: int
    n_templates: int
    n_produced: int
    n_read: int
    n_bright: int
    n_bright_found: int
    n_false: int
    false_per_megapixel: float
    visit_seconds: float
    latency_seconds: float
    completeness: tuple[tuple[float, float, int, int], ...]

    @classmethod
    def of(cls, result: DemoResult) -> "Figures":
        """Return the numbers of a demo."""
        found, n = completeness(result.scores, BRIGHT)
        n_false = sum(len(score.false_ids) for score in result.scores)
        work = [sum(r.stage_seconds.values()) for r in result.reports.values()]
        latency = [score.latency_s for score in result.scores]
        return cls(
            n_visits=len(result.scores),
            n_templates=result.n_templates,
            n_produced=result.n_produced,
            n_read=result.n_read,
            n_bright=n,
            n_bright_found=found,
            n_false=n_false,
            false_per_megapixel=n_false / result.megapixels,
            visit_seconds=float(np.median(work)),
            latency_seconds=float(np.median(latency)),
            completeness=tuple(
                (low, high, *completeness(result.scores, low, high))
                for low, high in SNR_BINS
            ),
        )

    @property
    def summary(self) -> str:
        """Return the numbers in sentences."""
        share = self.n_bright_found / max(self.n_bright, 1)
        return (
            f"{self.n_visits} visits and {self.n_templates} templates processed; "
            f"{self.n_read} of {self.n_produced} alerts read. Found "
            f"{self.n_bright_found} of {self.n_bright} changes with S/N >= "
            f"{BRIGHT:g} ({share:.1%}); {self.n_false} false alerts, "
            f"{self.false_per_megapixel:.2f} per megapixel. A visit took "
            f"{self.visit_seconds:.1f} s, from its event to its report "
            f"{self.latency_seconds:.1f} s (medians)."
        )

    def as_json(self) -> dict[str, object]:
        """Return the numbers by name."""
        bins = [
            {"snr": [low, high], "found": found, "true": n}
            for low, high, found, n in self.completeness
        ]
        return asdict(self) | {"completeness": bins}
