"""Coaddition of warps: ``mean``, ``clipped_mean`` and ``compare_warp``."""

from collections.abc import Callable, Mapping

from streamdiff.hookspecs import hookimpl
from streamdiff.stages import Coadder
from streamdiff_coadd.clipped_mean import ClippedMeanCoadder
from streamdiff_coadd.compare_warp import CompareWarpCoadder
from streamdiff_coadd.mean import MeanCoadder

__all__ = [
    "ClippedMeanCoadder",
    "CompareWarpCoadder",
    "MeanCoadder",
    "streamdiff_coadders",
]


@hookimpl
def streamdiff_coadders() -> Mapping[str, Callable[..., Coadder]]:
    """Offer ``mean``, ``clipped_mean`` and ``compare_warp``."""
    return {
        "mean": MeanCoadder,
        "clipped_mean": ClippedMeanCoadder,
        "compare_warp": CompareWarpCoadder,
    }
