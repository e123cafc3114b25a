"""Detection of what changed: peaks of the significance."""

from collections.abc import Callable, Mapping

from streamdiff.hookspecs import hookimpl
from streamdiff.stages import SourceFinder
from streamdiff_detection.score_peaks import ScorePeaksFinder

__all__ = ["ScorePeaksFinder", "streamdiff_source_finders"]


@hookimpl
def streamdiff_source_finders() -> Mapping[str, Callable[..., SourceFinder]]:
    """Offer ``score_peaks``."""
    return {"score_peaks": ScorePeaksFinder}
