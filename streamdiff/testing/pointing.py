"""How one exposure of a survey was taken."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from streamdiff.model import Exposure
from streamdiff.testing.artifacts import Artifact
from streamdiff.testing.camera import Camera
from streamdiff.testing.displacement import Displacement
from streamdiff.testing.profiles import MoffatProfile, Profile, VaryingProfile
from streamdiff.testing.scene import Scene
from streamdiff.testing.sources import PointSource


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pointing:
    """Everything that `Scene.observe` needs to know, for one exposure.

    Attributes
    ----------
    number : int
        The visit.
    mjd : float
    profile : Profile
    wcs : astropy.wcs.WCS
    shape : tuple of int
        (height, width).
    camera : Camera
    noise : float
        Of the sky in a pixel [nJy].
    displacement : Displacement
    artifacts : tuple of Artifact
    flux_scale : float
        Image flux over true flux.
    """

    number: int
    mjd: float
    profile: Profile
    wcs: WCS
    shape: tuple[int, int]
    camera: Camera
    noise: float
    displacement: Displacement
    artifacts: tuple[Artifact, ...]
    flux_scale: float

    def observe(self, scene: Scene) -> Exposure:
        """Return the exposure of a scene."""
        return scene.observe(
            profile=self.profile,
            noise=self.noise,
            seed=self.displacement.seed,
            wcs=self.wcs,
            shape=self.shape,
            camera=self.camera,
            displacement=self.displacement,
            artifacts=self.artifacts,
            flux_scale=self.flux_scale,
            visit=self.number,
            mjd=self.mjd,
        )

    def variance(self, scene: Scene) -> NDArray[np.float64]:
        """Return the variance of the exposure, for fluxes on the true scale."""
        light = scene.render(self.profile, self.wcs, self.shape, self.displacement)
        photons = self.camera.source_variance(self.flux_scale * light)
        scaled: NDArray[np.float64] = (self.noise**2 + photons) / self.flux_scale**2
        return scaled

    def place(
        self, scene: Scene, sources: Iterable[PointSource]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return where sources of a scene fall on the image, x and y [pixel]."""
        x, y = scene.positions(sources, self.wcs)
        dx, dy = self.displacement.smooth(x, y, self.shape)
        return x + dx, y + dy


def draw_profile(rng: np.random.Generator, fwhm: float) -> VaryingProfile:
    """Return a mildly elongated and varying profile of that width."""
    middle = MoffatProfile(
        fwhm=fwhm, ellipticity=rng.uniform(0, 0.08), angle=rng.uniform(0, 180)
    )
    slope_x, slope_y = rng.uniform(-0.03, 0.03, 2)
    return VaryingProfile(
        middle=middle, fwhm_slope=(slope_x, slope_y), corner_ellipticity=0.04
    )
