"""Simulated skies: make an honest exposure of a known sky in one line.

A template, and an exposure in which a star has brightened::

    sky = Scene.star_field(shape=(512, 512), seed=1)
    template = sky.observe(fwhm=2.8, noise=5, seed=1)
    science = sky.add(PointSource(200, 180, 4e3)).observe(fwhm=3.4, seed=2)
"""

from streamdiff.testing.artifacts import (
    Artifact,
    BadColumns,
    CosmicRays,
    Ghost,
    NoData,
    SkyGradient,
    Streak,
)
from streamdiff.testing.camera import Camera
from streamdiff.testing.changes import TrueChange
from streamdiff.testing.depth import ideal_flux_error
from streamdiff.testing.displacement import Displacement
from streamdiff.testing.population import Population
from streamdiff.testing.profiles import (
    GaussianProfile,
    MoffatProfile,
    Profile,
    VaryingProfile,
)
from streamdiff.testing.scene import Scene
from streamdiff.testing.sources import Galaxy, PointSource, Source, TrailedSource
from streamdiff.testing.survey import Survey

__all__ = [
    "Artifact",
    "BadColumns",
    "Camera",
    "CosmicRays",
    "Displacement",
    "Galaxy",
    "GaussianProfile",
    "Ghost",
    "MoffatProfile",
    "NoData",
    "PointSource",
    "Population",
    "Profile",
    "Scene",
    "SkyGradient",
    "Source",
    "Streak",
    "Survey",
    "TrailedSource",
    "TrueChange",
    "VaryingProfile",
    "ideal_flux_error",
]
