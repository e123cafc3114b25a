"""Simulated fields to learn from: what changed on them, and what did not."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from streamdiff.model import Exposure
from streamdiff.model.psf import noise_equivalent_area
from streamdiff.testing import (
    Artifact,
    Camera,
    CosmicRays,
    Displacement,
    Galaxy,
    Ghost,
    MoffatProfile,
    PointSource,
    Scene,
    SkyGradient,
    Source,
    Streak,
    TrailedSource,
    VaryingProfile,
)

NOISE = 10.0
# Fractions of the fields that have one, or a row of another level.
STREAKS, GHOSTS, ROWS = 0.15, 0.3, 0.3
# Flat fields and detectors that are not linear change the flux of a star by so much
# at most, rms: what that leaves of bright stars looks like a change of them.
FLUX_SCATTER = 0.03
CAMERA = Camera(gain=1.5, saturation=6e4, edge=8)


@dataclass(frozen=True, kw_only=True)
class TrainingField:
    """A field of stars and galaxies in seeing of its own, with changes on it.

    Attributes
    ----------
    seed : int
        Another seed is another field, in other conditions.
    shape : tuple of int
        (height, width).
    transients, hosted, variables, movers : int
        Flares anywhere and on galaxies, stars that vary, short trails.
    """

    seed: int
    shape: tuple[int, int] = (512, 512)
    transients: int = 30
    hosted: int = 8
    variables: int = 16
    movers: int = 4

    @property
    def visit(self) -> int:
        """Return the number of its visit."""
        return self.seed + 1

    @cached_property
    def science_profile(self) -> VaryingProfile:
        """Return the PSF of the science image."""
        return _draw_profile(self._rng(0))

    @cached_property
    def template_profile(self) -> VaryingProfile:
        """Return the PSF of the template."""
        return _draw_profile(self._rng(7))

    @cached_property
    def sky(self) -> Scene:
        """Return the static sky."""
        rng = self._rng(1)
        return Scene.star_field(
            shape=self.shape,
            density_per_mpx=self._crowding * float(10 ** rng.uniform(3, 3.9)),
            seed=self.seed,
            flux_range=(3 * self._flux_error, float(10 ** rng.uniform(5, 6.2))),
            galaxies=20,
        )

    @cached_property
    def changes(self) -> tuple[Source, ...]:
        """Return what is on the science image, and not on the template."""
        rng = self._rng(2)
        low = (16, 16)
        high = (self.shape[1] - 17, self.shape[0] - 17)
        spots = rng.uniform(low, high, (self.transients + self.movers, 2))
        galaxies = [s for s in self.sky.sources if isinstance(s, Galaxy)][: self.hosted]
        flares = [
            *map(tuple, spots[: self.transients]),
            *((g.x + rng.normal(0, 1.5), g.y + rng.normal(0, 1.5)) for g in galaxies),
        ]
        changes: list[Source] = [
            PointSource(float(x), float(y), self._draw_flux(rng)) for x, y in flares
        ]
        for star in self._variable_stars:
            size = rng.uniform(0.1, 1.0) * rng.choice([-1, 1])
            changes.append(replace(star, flux=size * star.flux))
        for x, y in spots[self.transients :]:
            length, angle = rng.uniform(1, 8), rng.uniform(0, 180)
            changes.append(
                TrailedSource(x, y, abs(self._draw_flux(rng)), length, angle)
            )
        return tuple(changes)

    def science(self) -> Exposure:
        """Return the science exposure, its PSF unknown."""
        rng = self._rng(3)
        return self.sky.add(*self.changes, *self._flux_errors).observe(
            profile=self.science_profile,
            noise=NOISE,
            seed=self.seed,
            camera=CAMERA,
            displacement=self._displacement,
            artifacts=self._artifacts(),
            flux_scale=float(1 + 0.03 * rng.standard_normal()),
            visit=self.visit,
            psf="unknown",
        )

    def template(self) -> Exposure:
        """Return the template, on the same pixels, its PSF unknown."""
        rng = self._rng(4)
        return self.sky.observe(
            profile=self.template_profile,
            noise=NOISE * rng.uniform(0.2, 0.8),
            seed=self.seed + (1 << 20),
            camera=CAMERA,
            artifacts=(CosmicRays(n=int(rng.integers(0, 8))),),
            visit=self.visit,
            psf="unknown",
        )

    def places(self) -> NDArray[np.float64]:
        """Return where changes are on the science image; x and y, shape (2, n)."""
        x, y = self.sky.positions(self.changes)
        return np.array([x, y]) + self._displacement.smooth(x, y, self.shape)

    @property
    def is_trail(self) -> NDArray[np.bool_]:
        """Return which changes are trails, shape (n,)."""
        return np.array([isinstance(c, TrailedSource) for c in self.changes], bool)

    @property
    def fluxes(self) -> NDArray[np.float64]:
        """Return the fluxes of changes, shape (n,) [nJy]."""
        return np.array([change.flux for change in self.changes])

    @property
    def _displacement(self) -> Displacement:
        rng = self._rng(5)
        return Displacement(
            rms=float(rng.uniform(0, 0.3)),
            jitter=float(rng.uniform(0, 0.1)),
            seed=self.seed,
        )

    @cached_property
    def _bright_stars(self) -> list[PointSource]:
        stars = [s for s in self.sky.sources if isinstance(s, PointSource)]
        return [s for s in stars if s.flux > 20 * self._flux_error]

    @cached_property
    def _variable_stars(self) -> list[PointSource]:
        order = self._rng(8).permutation(len(self._bright_stars))[: self.variables]
        return [self._bright_stars[i] for i in order]

    @property
    def _flux_errors(self) -> list[PointSource]:
        """Return what the detector adds to the light of stars that do not vary."""
        rng = self._rng(9)
        scatter = rng.uniform(0, FLUX_SCATTER)
        return [
            replace(star, flux=float(scatter * rng.standard_normal()) * star.flux)
            for star in self._bright_stars
            if star not in self._variable_stars
        ]

    @property
    def _crowding(self) -> float:
        """Return by how much more stars can be told apart than in 4 px seeing."""
        return float((4 / self.science_profile.middle.fwhm) ** 2)

    @property
    def _flux_error(self) -> float:
        stamp = self.science_profile.middle.stamp()
        return NOISE * float(np.sqrt(noise_equivalent_area(stamp)))

    def _draw_flux(self, rng: np.random.Generator) -> float:
        """Return a flux of a S/N of 6 to 1,000, in blank sky."""
        size = self._flux_error * 10 ** rng.uniform(0.78, 3)
        return float(size * rng.choice([-1, 1], p=[0.2, 0.8]))

    def _artifacts(self) -> tuple[Artifact, ...]:
        rng = self._rng(6)
        ny, nx = self.shape
        artifacts: list[Artifact] = [
            SkyGradient(
                level=float(rng.normal(0, 3)),
                slope_x=float(rng.normal(0, 6)),
                slope_y=float(rng.normal(0, 6)),
            ),
            CosmicRays(n=30, length=float(rng.uniform(1, 10))),
        ]
        if rng.uniform() < STREAKS:
            x, y, angle = rng.uniform(0, (nx, ny, 180))
            flux = float(10 ** rng.uniform(2, 3.5))
            artifacts.append(Streak(x=x, y=y, angle=angle, flux=flux))
        if rng.uniform() < ROWS:
            flux = float(10 ** rng.uniform(1, 2))
            artifacts.append(Streak(x=0, y=rng.uniform(0, ny), angle=0.0, flux=flux))
        if rng.uniform() < GHOSTS:
            x, y = rng.uniform(0, (nx, ny))
            artifacts.append(Ghost(x=x, y=y, radius=float(rng.uniform(10, 60))))
        return tuple(artifacts)

    def _rng(self, key: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, key])


def _draw_profile(rng: np.random.Generator) -> VaryingProfile:
    slope_x, slope_y = rng.uniform(-0.06, 0.06, 2)
    middle = MoffatProfile(
        fwhm=float(rng.uniform(2.6, 7.0)),
        beta=float(rng.uniform(3, 5)),
        ellipticity=float(rng.uniform(0, 0.15)),
        angle=float(rng.uniform(0, 180)),
    )
    return VaryingProfile(
        middle=middle, fwhm_slope=(slope_x, slope_y), corner_ellipticity=0.06
    )
