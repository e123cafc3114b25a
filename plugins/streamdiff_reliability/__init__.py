"""How likely a DiaSource is a change on the sky and not an artifact."""

from collections.abc import Callable, Mapping

from streamdiff.hookspecs import hookimpl
from streamdiff.stages import Scorer
from streamdiff_reliability.scorer import FeatureScorer

__all__ = ["FeatureScorer", "streamdiff_scorers"]


@hookimpl
def streamdiff_scorers() -> Mapping[str, Callable[..., Scorer]]:
    """Offer the built-in scorer."""
    return {"features": FeatureScorer}
