"""Resampling onto another pixel grid: ``lanczos``."""

from collections.abc import Callable, Mapping

from streamdiff.hookspecs import hookimpl
from streamdiff.stages import Warper
from streamdiff_warp.lanczos import LanczosWarper

__all__ = ["LanczosWarper"]


@hookimpl
def streamdiff_warpers() -> Mapping[str, Callable[..., Warper]]:
    """Offer ``lanczos``."""
    return {"lanczos": LanczosWarper}
