"""Differences that are too bad to be searched."""

from dataclasses import dataclass
from math import inf

from streamdiff.errors import SubtractionError
from streamdiff.model import Difference
from streamdiff.pipeline.result import VisitResult


class BadDifferenceError(SubtractionError):
    """A difference leaves too much of stars that did not change.

    Attributes
    ----------
    result : VisitResult
        What there is of the failed visit: images and metrics, no DiaSources.
    """

    def __init__(self, message: str, result: VisitResult) -> None:
        super().__init__(message)
        self.result = result


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidualGate:
    """What a difference may leave of stars.

    Attributes
    ----------
    max_mean, max_stdev : float
        Of what is left of the light of stars, over that light; see
        `streamdiff.imaging.quality.footprint_ratio`.
    min_stars : int
        Fewer stars tell nothing: one of them may have changed.
    """

    max_mean: float = inf
    max_stdev: float = inf
    min_stars: int = 10

    def problem(self, difference: Difference) -> str:
        """Return what is wrong with a difference; empty if nothing, or unknown."""
        if difference.metrics.get("n_residual_stars", 0) < self.min_stars:
            return ""
        limits = {"mean": self.max_mean, "stdev": self.max_stdev}
        for name, limit in limits.items():
            ratio = difference.metrics.get(f"difference_footprint_ratio_{name}", 0.0)
            if ratio > limit:
                return (
                    f"{difference.id}: the difference leaves too much of stars: "
                    f"difference_footprint_ratio_{name} is {ratio:.3g}, at most "
                    f"{limit:g} is accepted; see [pipeline] max_residual_{name}"
                )
        return ""
