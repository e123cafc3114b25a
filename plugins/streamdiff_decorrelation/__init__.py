"""Whitening of the noise that the matching of two PSFs has correlated."""

from collections.abc import Callable, Mapping

from streamdiff.hookspecs import hookimpl
from streamdiff.stages import Decorrelator
from streamdiff_decorrelation.decorrelate import NoDecorrelator, WhiteningDecorrelator
from streamdiff_decorrelation.propagate import VariancePlane

__all__ = [
    "NoDecorrelator",
    "VariancePlane",
    "WhiteningDecorrelator",
    "streamdiff_decorrelators",
]


@hookimpl
def streamdiff_decorrelators() -> Mapping[str, Callable[..., Decorrelator]]:
    """Offer ``al`` and ``none``."""
    return {"al": WhiteningDecorrelator, "none": NoDecorrelator}
