"""Scenes of growing difficulty that subtractions are compared on.

On each, a template four times as deep as the science image; photons count, stars
saturate and bleed, and known sources have appeared where little else shines.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from streamdiff.model import UNUSABLE, Exposure
from streamdiff.testing.camera import Camera
from streamdiff.testing.depth import Depth, ideal_flux_error
from streamdiff.testing.displacement import Displacement
from streamdiff.testing.profiles import MoffatProfile, Profile, VaryingProfile
from streamdiff.testing.scene import Scene
from streamdiff.testing.sources import PointSource

# Sky and read noise of an exposure, and of the mean of four [electron, nJy].
NOISE, TEMPLATE_NOISE = 20.0, 10.0
SATURATION = 6e4
_FLUXES = (500.0, 2e6)
_STEP, _EDGE = 48, 48
_SNR = (10.0, 100.0)
# A star this far above the noise in its peak tells how well stars vanish.
_BRIGHT = 50.0
_DARK_PLACES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One scene, for images of any size.

    Attributes
    ----------
    name : str
    doc : str
        What is difficult.
    science, template : Profile
        PSFs of the two images.
    density_per_mpx : float
        Stars per 1e6 pixels.
    displacement : Displacement
        What is left of the registration.
    """

    name: str
    doc: str
    science: Profile
    template: Profile
    density_per_mpx: float = 2500.0
    displacement: Displacement = field(default_factory=Displacement)

    def observe(self, size: int = 1024, seed: int = 0) -> "Observed":
        """Return a pair of square images of this scene."""
        sky = Scene.star_field(
            shape=(size, size),
            density_per_mpx=self.density_per_mpx,
            seed=seed,
            flux_range=_FLUXES,
            slope=1.8,
        )
        changes = self._changes(sky, seed)
        camera = Camera(gain=1.0, saturation=SATURATION)
        return Observed(
            rung=self,
            sky=sky,
            changes=changes,
            science=sky.add(*changes).observe(
                profile=self.science,
                noise=NOISE,
                seed=seed + 1,
                visit=2,
                camera=camera,
                displacement=self.displacement,
            ),
            template=sky.observe(
                profile=self.template,
                noise=TEMPLATE_NOISE,
                seed=seed + 2,
                camera=Camera(gain=4.0, saturation=SATURATION),
            ),
        )

    def _changes(self, sky: Scene, seed: int) -> tuple[PointSource, ...]:
        """Return new sources on a grid, where stars are faint."""
        rng = np.random.default_rng([seed, 9])
        height, width = sky.shape
        y, x = np.mgrid[_EDGE : height - _EDGE : _STEP, _EDGE : width - _EDGE : _STEP]
        places = np.transpose([x.ravel(), y.ravel()]) + rng.uniform(
            -0.5, 0.5, (x.size, 2)
        )
        light = sky.render(self.science)
        column, row = np.rint(places).astype(int).T
        faint = max(NOISE, float(np.quantile(light, 0.5)))
        error = self._flux_error(sky.shape)
        low, high = np.log(_SNR)
        flux = error * np.exp(rng.uniform(low, high, len(places)))
        dark = light[row, column] < faint
        return tuple(
            PointSource(x, y, size)
            for (x, y), size in zip(
                places[dark].tolist(), flux[dark].tolist(), strict=True
            )
        )

    def _flux_error(self, shape: tuple[int, int]) -> float:
        middle = shape[1] / 2, shape[0] / 2
        new, old = (p.at(*middle, shape).stamp() for p in (self.science, self.template))
        return ideal_flux_error(new, old, NOISE**2, TEMPLATE_NOISE**2)


@dataclass(frozen=True, kw_only=True, eq=False)
class Observed:
    """A pair of images, and the truth about them.

    Attributes
    ----------
    rung : Rung
    sky : Scene
        What is constant.
    changes : tuple of PointSource
        What the science image shows beside it.
    science, template : Exposure
    """

    rung: Rung
    sky: Scene
    changes: tuple[PointSource, ...]
    science: Exposure
    template: Exposure

    @cached_property
    def light(self) -> NDArray[np.float64]:
        """Return all sources of the science image without noise, shape (ny, nx)."""
        changed = self.sky.add(*self.changes)
        return changed.render(self.rung.science, displacement=self.rung.displacement)

    @cached_property
    def places(self) -> NDArray[np.float64]:
        """Return x, y [pixel] and flux [nJy] of the changes, shape (3, n).

        Jitter shifts each source of its own: they are where the image shows them.
        """
        x, y, flux = np.array([(c.x, c.y, c.flux) for c in self.changes]).T
        smooth = self.rung.displacement.smooth(x, y, self.sky.shape)
        n = len(self.sky.sources)
        shifts = self.rung.displacement.scatter(n + len(x))[:, n:] + smooth
        return np.array([x + shifts[0], y + shifts[1], flux])

    @cached_property
    def blank(self) -> NDArray[np.bool_]:
        """Return where neither sources, defects nor the border are."""
        faint = max(0.1 * NOISE, float(np.quantile(self.light, 0.2)))
        mask = self.science.mask | self.template.mask
        blank: NDArray[np.bool_] = (self.light < faint) & ~UNUSABLE.in_mask(mask)
        inside = np.zeros_like(blank)
        inside[_EDGE:-_EDGE, _EDGE:-_EDGE] = True
        return blank & inside

    @cached_property
    def bright_stars(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return x and y of constant stars that are bright and not saturated."""
        x, y = np.array([(s.x, s.y) for s in self.sky.sources]).T
        shape = self.sky.shape
        shift = self.rung.displacement.smooth(x, y, shape)
        shift = shift + self.rung.displacement.scatter(len(x))
        x, y = x + shift[0], y + shift[1]
        inside = (np.abs(x - shape[1] / 2) < shape[1] / 2 - _EDGE) & (
            np.abs(y - shape[0] / 2) < shape[0] / 2 - _EDGE
        )
        x, y = x[inside], y[inside]
        row, column = np.rint([y, x]).astype(int)
        peak = self.light[row, column]
        bright = (peak > _BRIGHT * np.sqrt(self.science.variance[row, column])) & (
            peak < 0.8 * SATURATION
        )
        return x[bright], y[bright]

    @cached_property
    def dark_places(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return x and y of blank pixels on a grid, some hundred at most."""
        y, x = np.nonzero(self.blank)
        step = max(1, len(x) // _DARK_PLACES)
        return x[::step].astype(float), y[::step].astype(float)

    def ideal_errors(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the smallest possible flux error at positions [nJy]."""
        depth = Depth(
            science_psf=self.rung.science.psf(self.sky.shape),
            template_psf=self.rung.template.psf(self.sky.shape),
            science_variance=np.asarray(self.science.variance, float),
            template_variance=np.asarray(self.template.variance, float),
        )
        places = zip(x.tolist(), y.tolist(), strict=True)
        return np.array([depth.flux_error(*place) for place in places])


_WIDE, _SHARP = MoffatProfile(fwhm=4.0, beta=4.0), MoffatProfile(fwhm=3.0, beta=4.0)

LADDER: Mapping[str, Rung] = MappingProxyType(
    {
        rung.name: rung
        for rung in (
            Rung(
                name="standard",
                doc="the template is sharper",
                science=_WIDE,
                template=_SHARP,
            ),
            Rung(
                name="jitter",
                doc="each star is off by 0.2 pixels of its own",
                science=_WIDE,
                template=_SHARP,
                displacement=Displacement(jitter=0.2, seed=3),
            ),
            Rung(
                name="reversed",
                doc="the science image is sharper",
                science=_SHARP,
                template=_WIDE,
            ),
            Rung(
                name="elongated",
                doc="PSFs are elongated across each other",
                science=MoffatProfile(fwhm=4.0, beta=4.0, ellipticity=0.2, angle=35.0),
                template=MoffatProfile(
                    fwhm=3.5, beta=4.0, ellipticity=0.2, angle=125.0
                ),
            ),
            Rung(
                name="varying",
                doc="PSFs vary over the field",
                science=VaryingProfile(
                    middle=MoffatProfile(fwhm=4.0, beta=4.0), corner_ellipticity=0.15
                ),
                template=VaryingProfile(middle=_SHARP, fwhm_slope=(-0.05, 0.05)),
            ),
            Rung(
                name="crowded",
                doc="20,000 stars per megapixel",
                science=_WIDE,
                template=_SHARP,
                density_per_mpx=20_000.0,
            ),
        )
    }
)
