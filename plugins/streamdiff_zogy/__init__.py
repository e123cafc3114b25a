"""Proper subtraction (Zackay, Ofek & Gal-Yam 2016, ApJ 830, 27)."""

from collections.abc import Callable, Mapping

from streamdiff.hookspecs import hookimpl
from streamdiff.stages import Subtractor
from streamdiff_zogy.calibration import Fluxes
from streamdiff_zogy.subtract import Domain, Variation, ZogySubtractor

__all__ = ["Domain", "Fluxes", "Variation", "ZogySubtractor"]


@hookimpl
def streamdiff_subtractors() -> Mapping[str, Callable[..., Subtractor]]:
    """Offer ``zogy``."""
    return {"zogy": ZogySubtractor}
