"""Measurements of DiaSources, vectorised over all sources of an image."""

from collections.abc import Callable, Mapping

from streamdiff.hookspecs import hookimpl
from streamdiff.stages import Measurer
from streamdiff_measurement.aperture_flux import ApertureFlux
from streamdiff_measurement.centroid import Centroid
from streamdiff_measurement.forced_flux import ForcedFlux
from streamdiff_measurement.moments import Extendedness, SourceMoments
from streamdiff_measurement.pixel_flags import PixelFlags
from streamdiff_measurement.psf_flux import PsfFlux

__all__ = [
    "ApertureFlux",
    "Centroid",
    "Extendedness",
    "ForcedFlux",
    "PixelFlags",
    "PsfFlux",
    "SourceMoments",
    "streamdiff_measurers",
]


@hookimpl
def streamdiff_measurers() -> Mapping[str, Callable[..., Measurer]]:
    """Offer the built-in measurers."""
    return {
        "aperture_flux": ApertureFlux,
        "centroid": Centroid,
        "extendedness": Extendedness,
        "forced_flux": ForcedFlux,
        "moments": SourceMoments,
        "pixel_flags": PixelFlags,
        "psf_flux": PsfFlux,
    }
