"""A simulated survey: epochs for a template, visits, and what truly changed."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil, hypot, radians, sin, sqrt

import numpy as np
from astropy.wcs import WCS

from streamdiff.model import Exposure
from streamdiff.model.psf import noise_equivalent_area
from streamdiff.testing.artifacts import CosmicRays, SkyGradient
from streamdiff.testing.camera import Camera
from streamdiff.testing.changes import Change, TrueChange
from streamdiff.testing.depth import Depth
from streamdiff.testing.displacement import Displacement
from streamdiff.testing.pointing import Pointing, draw_profile
from streamdiff.testing.population import Field, Population
from streamdiff.testing.profiles import MoffatProfile
from streamdiff.testing.scene import Scene
from streamdiff.testing.sources import PointSource

POPULATION = Population()
SURVEY_CAMERA = Camera(gain=1.5, saturation=6e4)
FIRST_VISIT = 1001
FIRST_MJD = 61000.0
# How far bright stars shine [pixel].
WINGS = 20
# Error of the sky level and of its change over half the image, over the noise.
SKY_RESIDUAL = 0.1


@dataclass(frozen=True, kw_only=True)
class Survey:
    """One field, observed first for a template and then for changes.

    Epochs of the template are numbered from 1, visits from `FIRST_VISIT`; both
    point at the field with other rotations and dithers, in other seeing. The
    epochs cover every visit. Fluxes of visits are off by ``flux_scale_error``,
    their WCS by ``registration_rms``, their sky by a small gradient.

    Attributes
    ----------
    shape : tuple of int
        (height, width) of a visit.
    seed : int
        Another seed is another survey.
    n_epochs, n_visits : int
    density_per_mpx : float
        Stars per 1e6 pixels, from S/N 4 to saturation.
    galaxies : int
        In the field and its surroundings.
    population : Population
        What changes.
    noise : float
        Of the sky in a pixel of any exposure [nJy].
    camera : Camera
    template_fwhm, visit_fwhm : tuple of float
        Ranges of the seeing [pixel].
    rotation_deg, dither : float
        Largest rotation and shift [pixel] of an exposure.
    registration_rms : float
        Of the smooth error of a visit's WCS, along each axis [pixel].
    flux_scale_error : float
        Standard deviation of the relative error of a visit's fluxes.
    epoch_cosmic_rays, visit_cosmic_rays : int
        Per exposure.

    Raises
    ------
    ValueError
        If rotations and dithers leave nothing that every visit sees.
    """

    shape: tuple[int, int] = (1024, 1024)
    seed: int = 0
    n_epochs: int = 8
    n_visits: int = 12
    density_per_mpx: float = 2500.0
    galaxies: int = 150
    population: Population = POPULATION
    noise: float = 10.0
    camera: Camera = SURVEY_CAMERA
    template_fwhm: tuple[float, float] = (3.2, 4.2)
    visit_fwhm: tuple[float, float] = (2.8, 5.0)
    rotation_deg: float = 2.0
    dither: float = 12.0
    registration_rms: float = 0.2
    flux_scale_error: float = 0.03
    epoch_cosmic_rays: int = 40
    visit_cosmic_rays: int = 0

    def __post_init__(self) -> None:
        if min(self.shape) <= 2 * self._edge:
            raise ValueError(
                f"a survey of shape {self.shape} turned and shifted by up to "
                f"{self.margin} px has no common field: use less rotation_deg or "
                "dither, or a larger shape"
            )

    @property
    def epoch_numbers(self) -> range:
        """Return the visit numbers of the template's epochs."""
        return range(1, self.n_epochs + 1)

    @property
    def visit_numbers(self) -> range:
        """Return the visit numbers of the visits."""
        return range(FIRST_VISIT, FIRST_VISIT + self.n_visits)

    @property
    def margin(self) -> int:
        """Return by how much rotations and dithers can shift the field [pixel]."""
        return ceil(self._turn * hypot(*self.shape) / 2 + self.dither)

    @cached_property
    def sky(self) -> Scene:
        """Return the static sky, on the grid of a visit without dither."""
        return Scene.star_field(
            shape=self.shape,
            density_per_mpx=self.density_per_mpx,
            seed=self.seed,
            flux_range=(4 * self._typical_error, 50 * (self.camera.saturation or 4e4)),
            galaxies=self.galaxies,
            # An epoch may be shifted by a margin; wings of stars reach into it.
            margin=ceil((1 + self._turn) * self._reach) + self.margin + WINGS,
        )

    @cached_property
    def changes(self) -> tuple[Change, ...]:
        """Return all that changes, at first where every visit sees it."""
        field = Field(
            sky=self.sky,
            edge=self._edge,
            flux_error=self._typical_error,
            n_visits=self.n_visits,
        )
        return self.population.draw(self._rng(0), field)

    def template_exposures(self) -> Iterator[Exposure]:
        """Yield the epochs for the template: the static sky alone."""
        return (self._epoch(number).observe(self.sky) for number in self.epoch_numbers)

    def visits(self) -> Iterator[Exposure]:
        """Yield the visits in order of time."""
        return (self.visit(number) for number in self.visit_numbers)

    def visit(self, number: int) -> Exposure:
        """Return one visit.

        Raises
        ------
        ValueError
            If there is no visit of that number.
        """
        changed = self.sky.add(*self._added(number).values())
        return self._visit(number).observe(changed)

    def truth(self, visit: int) -> tuple[TrueChange, ...]:
        """Return what is different from the static sky on the image of a visit.

        Raises
        ------
        ValueError
            If there is no visit of that number.

        Notes
        -----
        The ideal S/N takes the noise around the change as white, and the
        template as the mean of the epochs, in their mean seeing.
        """
        added = self._added(visit)
        pointing = self._visit(visit)
        depth = self._depth(pointing, self.sky.add(*added.values()))
        own = self.sky.positions(added.values())
        ra, dec = self.sky.wcs.all_pix2world(*own, 0)
        x, y = pointing.place(self.sky, added.values())
        return tuple(
            TrueChange(
                kind=change.kind,
                ra=float(ra[i]),
                dec=float(dec[i]),
                x=float(x[i]),
                y=float(y[i]),
                flux=source.flux,
                ideal_snr=source.flux / depth.flux_error(x[i], y[i]),
            )
            for i, (change, source) in enumerate(added.items())
            if 0 <= x[i] <= self.shape[1] - 1 and 0 <= y[i] <= self.shape[0] - 1
        )

    @property
    def _turn(self) -> float:
        """Return the largest shift of a corner by rotation, over its distance."""
        return sin(radians(min(abs(self.rotation_deg), 90)))

    @property
    def _edge(self) -> int:
        """Return how far from the border changes are at first [pixel]."""
        return self.margin + WINGS

    @property
    def _reach(self) -> int:
        """Return by how much an epoch is larger on each side [pixel].

        One margin for the shifts of the visits and one for its own, which with
        the first turns a larger image.
        """
        return ceil((2 + self._turn) * self.margin)

    @property
    def _typical_error(self) -> float:
        """Return the flux error of a faint star in the mean seeing [nJy]."""
        stamp = MoffatProfile(fwhm=sum(self.visit_fwhm) / 2).stamp()
        return self.noise * sqrt(noise_equivalent_area(stamp))

    def _added(self, number: int) -> dict[Change, PointSource]:
        if number not in self.visit_numbers:
            raise ValueError(f"visits are {self.visit_numbers}, not {number}")
        during = ((c, c.during(number - FIRST_VISIT)) for c in self.changes)
        return {change: source for change, source in during if source is not None}

    def _epoch(self, number: int) -> Pointing:
        """Return how an epoch was taken; it reaches around all visits."""
        rng = self._rng(1, number)
        reach = self._reach
        return Pointing(
            number=number,
            mjd=FIRST_MJD - 365 + number,
            profile=draw_profile(rng, rng.uniform(*self.template_fwhm)),
            wcs=self._draw_wcs(rng, reach),
            shape=(self.shape[0] + 2 * reach, self.shape[1] + 2 * reach),
            camera=self.camera,
            noise=self.noise,
            displacement=Displacement(seed=int(rng.integers(1 << 32))),
            artifacts=(self._draw_sky(rng), CosmicRays(n=self.epoch_cosmic_rays)),
            flux_scale=1.0,
        )

    def _visit(self, number: int) -> Pointing:
        """Return how a visit was taken."""
        rng = self._rng(1, number)
        seeing = self._rng(2).permutation(np.linspace(*self.visit_fwhm, self.n_visits))
        return Pointing(
            number=number,
            mjd=FIRST_MJD + number - FIRST_VISIT,
            profile=draw_profile(rng, float(seeing[number - FIRST_VISIT])),
            wcs=self._draw_wcs(rng, 0),
            shape=self.shape,
            camera=self.camera,
            noise=self.noise,
            displacement=Displacement(
                rms=self.registration_rms, seed=int(rng.integers(1 << 32))
            ),
            artifacts=(self._draw_sky(rng), CosmicRays(n=self.visit_cosmic_rays)),
            flux_scale=1 + self.flux_scale_error * rng.standard_normal(),
        )

    def _rng(self, *key: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, *key])

    def _draw_wcs(self, rng: np.random.Generator, reach: int) -> WCS:
        turn, dx, dy = rng.uniform(-1, 1, 3)
        return self.sky.dithered_wcs(
            rotation_deg=turn * self.rotation_deg,
            dx=dx * self.dither + reach,
            dy=dy * self.dither + reach,
        )

    def _draw_sky(self, rng: np.random.Generator) -> SkyGradient:
        level, slope_x, slope_y = SKY_RESIDUAL * self.noise * rng.standard_normal(3)
        return SkyGradient(level=level, slope_x=slope_x, slope_y=slope_y)

    def _depth(self, pointing: Pointing, changed: Scene) -> Depth:
        """Return the depth of a visit against the mean of all epochs."""
        mean = replace(
            pointing,
            profile=MoffatProfile(fwhm=sum(self.template_fwhm) / 2),
            displacement=Displacement(),
            flux_scale=1.0,
        )
        return Depth(
            science_psf=pointing.profile.psf(self.shape),
            template_psf=mean.profile.psf(self.shape),
            science_variance=pointing.variance(changed),
            template_variance=mean.variance(self.sky) / self.n_epochs,
        )
