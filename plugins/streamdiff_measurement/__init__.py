"""Measurements of DiaSources, vectorised over all sources of an image."""

from collections.abc import Callable, Mapping

from streamdiff.hookspecs import hookimpl
from streamdiff.stages import Measurer
from streamdiff_measurement.aperture_flux import ApertureFlux
from streamdiff_measurement.centroid import Centroid
from streamdiff_measurement.dipole import Dipole
from streamdiff_measurement.extendedness import Extendedness
from streamdiff_measurement.forced_flux import ForcedFlux
from streamdiff_measurement.glint import Glint
from streamdiff_measurement.local_calibration import LocalCalibration
from streamdiff_measurement.moments import SourceMoments
from streamdiff_measurement.pixel_flags import PixelFlags
from streamdiff_measurement.psf_flux import PsfFlux
from streamdiff_measurement.trail import Trail

__all__ = [
    "ApertureFlux",
    "Centroid",
    "Dipole",
    "Extendedness",
    "ForcedFlux",
    "Glint",
    "LocalCalibration",
    "PixelFlags",
    "PsfFlux",
    "SourceMoments",
    "Trail",
    "streamdiff_measurers",
]


@hookimpl
def streamdiff_measurers() -> Mapping[str, Callable[..., Measurer]]:
    """Offer the built-in measurers."""
    return {
        "aperture_flux": ApertureFlux,
        "centroid": Centroid,
        "dipole": Dipole,
        "extendedness": Extendedness,
        "forced_flux": ForcedFlux,
        "glint": Glint,
        "local_calibration": LocalCalibration,
        "moments": SourceMoments,
        "pixel_flags": PixelFlags,
        "psf_flux": PsfFlux,
        "trail": Trail,
    }
