"""A simulated sky that can be observed."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from streamdiff.model import Exposure, ExposureId, UnknownPsf
from streamdiff.testing.artifacts import Artifact
from streamdiff.testing.camera import Camera
from streamdiff.testing.displacement import Displacement
from streamdiff.testing.grid import Grid, project
from streamdiff.testing.profiles import GaussianProfile, Profile
from streamdiff.testing.render import add_disc, draw_points
from streamdiff.testing.sources import Galaxy, PointSource, Source, TrailedSource

DEFAULT_CAMERA = Camera()
DEFAULT_FWHM = 3.5
# Faintest and brightest random galaxy [nJy].
GALAXY_FLUX = (2e3, 2e5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A piece of sky on a pixel grid of its own.

    Attributes
    ----------
    sources : tuple of Source
        Their positions are 0-based pixels of the scene's own grid.
    shape : tuple of int
        (height, width) of that grid.
    pixel_scale_arcsec : float
    ra, dec : float
        Of the middle of the grid, ICRS [degree].
    """

    sources: tuple[Source, ...] = ()
    shape: tuple[int, int] = (96, 96)
    pixel_scale_arcsec: float = 0.2
    ra: float = 210.0
    dec: float = -12.0

    @classmethod
    def star_field(
        cls,
        *,
        shape: tuple[int, int] = (512, 512),
        density_per_mpx: float = 2500.0,
        seed: int = 0,
        flux_range: tuple[float, float] = (200.0, 2e5),
        slope: float = 1.75,
        galaxies: int = 0,
        margin: int = 32,
    ) -> "Scene":
        """Return a random field of stars, and galaxies among them.

        Parameters
        ----------
        shape : tuple of int
            (height, width).
        density_per_mpx : float
            Stars per 1e6 pixels.
        seed : int
        flux_range : tuple of float
            Faintest and brightest star [nJy].
        slope : float
            The luminosity function is dN/dF ~ F**-slope; not 1.
        galaxies : int
            How many.
        margin : int
            Sources also lie in a border so wide around the grid, for dithers
            and for wings that reach in [pixel].
        """
        rng = np.random.default_rng(seed)
        height, width = shape
        area = (height + 2 * margin) * (width + 2 * margin)
        n_stars = round(density_per_mpx * area / 1e6)
        low = (-0.5 - margin, -0.5 - margin)
        high = (width - 0.5 + margin, height - 0.5 + margin)
        stars = zip(
            rng.uniform(low, high, (n_stars, 2)).tolist(),
            power_law(rng.uniform(size=n_stars), flux_range, slope).tolist(),
            strict=True,
        )
        spots = rng.uniform(low, high, (galaxies, 2)).tolist()
        return cls(
            sources=(
                *(PointSource(x, y, flux) for (x, y), flux in stars),
                *(_random_galaxy(x, y, rng) for x, y in spots),
            ),
            shape=shape,
        )

    def add(self, *sources: Source) -> "Scene":
        """Return a scene with more sources."""
        return replace(self, sources=self.sources + sources)

    @property
    def wcs(self) -> WCS:
        """Return the gnomonic WCS of the scene's own grid; north up, east left."""
        return self.dithered_wcs()

    def dithered_wcs(
        self, *, rotation_deg: float = 0.0, dx: float = 0.0, dy: float = 0.0
    ) -> WCS:
        """Return the WCS of another pointing at the same sky.

        Parameters
        ----------
        rotation_deg : float
            Angle by which the sky turns on the image, from +x to +y.
        dx, dy : float
            Shift of the middle of the scene on the image [pixel].
        """
        turn, scale = np.radians(rotation_deg), self.pixel_scale_arcsec / 3600
        cos, sin = np.cos(turn), np.sin(turn)
        wcs = WCS(naxis=2)
        wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
        wcs.wcs.cunit = ["deg", "deg"]
        wcs.wcs.radesys = "ICRS"
        wcs.wcs.crval = [self.ra, self.dec]
        wcs.wcs.crpix = [(self.shape[1] + 1) / 2 + dx, (self.shape[0] + 1) / 2 + dy]
        wcs.wcs.cd = scale * np.array([[-cos, -sin], [-sin, cos]])
        wcs.wcs.set()
        return wcs

    def positions(
        self, sources: Iterable[Source], wcs: WCS | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return where a WCS puts sources, x and y [pixel], each of shape (n,)."""
        own = np.array([(s.x, s.y) for s in sources], float).reshape(-1, 2)
        return project(own[:, 0], own[:, 1], self.wcs, wcs)

    def observe(
        self,
        *,
        fwhm: float = DEFAULT_FWHM,
        profile: Profile | None = None,
        noise: float | NDArray[np.float64] = 10.0,
        seed: int = 0,
        wcs: WCS | None = None,
        shape: tuple[int, int] | None = None,
        camera: Camera = DEFAULT_CAMERA,
        displacement: Displacement | None = None,
        artifacts: Iterable[Artifact] = (),
        flux_scale: float = 1.0,
        visit: int = 1,
        band: str = "r",
        mjd: float = 61000.0,
        psf: Literal["true", "unknown"] = "true",
    ) -> Exposure:
        """Return a calibrated exposure of the scene.

        Parameters
        ----------
        fwhm : float
            Of a round Gaussian PSF [pixel]; ``profile`` wins.
        profile : Profile, optional
            Any other PSF.
        noise : float or ndarray of float64, shape (ny, nx)
            Standard deviation of the sky, per pixel [nJy].
        seed : int
            Of the noise and of random artifacts. Equal seeds have equal noise,
            whatever the sources are.
        wcs : astropy.wcs.WCS, optional
            Where the image looks, see `dithered_wcs`; by default on the
            scene's own grid.
        shape : tuple of int, optional
            (height, width) of the image, by default that of the scene.
        camera : Camera
            Gain, saturation, borders.
        displacement : Displacement, optional
            Error of the WCS: stars are beside where it says.
        artifacts : iterable of Artifact
            Cosmic rays, streaks, bad columns, sky gradients.
        flux_scale : float
            Error of the calibration: image flux over true flux.
        visit, band, mjd : int, str, float
        psf : {"true", "unknown"}
            Whether the exposure knows its PSF.
        """
        shape = shape or self.shape
        profile = profile or GaussianProfile(fwhm=fwhm)
        noise_rng, artifact_rng = np.random.default_rng(seed).spawn(2)

        image = flux_scale * self.render(profile, wcs, shape, displacement)
        mask = np.zeros(shape, np.int32)
        for artifact in artifacts:
            artifact.add(image, mask, artifact_rng)
        variance = np.square(noise) + camera.source_variance(image)
        image += np.sqrt(variance) * noise_rng.standard_normal(shape)
        camera.read_out(image, mask)

        return Exposure(
            id=ExposureId(
                instrument=camera.instrument,
                visit=visit,
                detector=camera.detector,
                band=band,
            ),
            image=np.asarray(image, np.float32),
            variance=np.asarray(variance, np.float32),
            mask=mask,
            wcs=self.wcs if wcs is None else wcs,
            psf=profile.psf(shape) if psf == "true" else UnknownPsf(),
            midpoint_mjd_tai=mjd,
            exposure_time_s=camera.exposure_time_s,
        )

    def render(
        self,
        profile: Profile,
        wcs: WCS | None = None,
        shape: tuple[int, int] | None = None,
        displacement: Displacement | None = None,
    ) -> NDArray[np.float64]:
        """Return the sources without noise, shape (ny, nx) [nJy]; see `observe`."""
        shape = shape or self.shape
        grid = Grid(own=self.wcs, wcs=wcs, shape=shape, displacement=displacement)
        points = [
            (i, point.x, point.y, point.flux)
            for i, source in enumerate(self.sources)
            for point in _points(source)
        ]
        index, x, y, flux = np.array(points, float).reshape(-1, 4).T
        image = draw_points(profile, *grid.place(x, y, index), flux, shape)

        discs = [(i, s) for i, s in enumerate(self.sources) if isinstance(s, Galaxy)]
        own = np.array([(i, s.x, s.y) for i, s in discs], float).reshape(-1, 3)
        index, x, y = own.T
        matrices = grid.jacobians(x, y)
        places = np.transpose(grid.place(x, y, index))
        for (_, disc), matrix, (x0, y0) in zip(discs, matrices, places, strict=True):
            add_disc(image, profile, (x0, y0), disc.flux, matrix @ np.array(disc.axes))
        return image


def power_law(
    quantile: NDArray[np.float64], limits: tuple[float, float], slope: float
) -> NDArray[np.float64]:
    """Return the quantiles of the density x**-slope between limits; slope not 1."""
    low, high = (limit ** (1 - slope) for limit in limits)
    values: NDArray[np.float64] = (low + quantile * (high - low)) ** (1 / (1 - slope))
    return values


def _points(source: Source) -> tuple[PointSource, ...]:
    match source:
        case PointSource():
            return (source,)
        case TrailedSource():
            return source.points()
        case Galaxy():
            return ()


def _random_galaxy(x: float, y: float, rng: np.random.Generator) -> Galaxy:
    return Galaxy(
        x,
        y,
        flux=power_law(rng.uniform(size=1), GALAXY_FLUX, 1.75).item(),
        half_light_radius=rng.uniform(2, 8),
        axis_ratio=rng.uniform(0.3, 1),
        angle=rng.uniform(0, 180),
    )
