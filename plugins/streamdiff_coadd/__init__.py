"""Coaddition of warps: ``mean`` and ``clipped_mean``."""

from collections.abc import Callable, Mapping

from streamdiff.hookspecs import hookimpl
from streamdiff.stages import Coadder
from streamdiff_coadd.clipped_mean import ClippedMeanCoadder
from streamdiff_coadd.mean import MeanCoadder

__all__ = ["ClippedMeanCoadder", "MeanCoadder"]


@hookimpl
def streamdiff_coadders() -> Mapping[str, Callable[..., Coadder]]:
    """Offer ``mean`` and ``clipped_mean``."""
    return {"mean": MeanCoadder, "clipped_mean": ClippedMeanCoadder}
