"""The scene of LSST's own tests of A&L subtraction, made anew."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from streamdiff.model import Exposure
from streamdiff.testing import GaussianProfile, PointSource, Scene

FWHM_PER_SIGMA = np.sqrt(8 * np.log(2))
# Half of the side of a star's stamp there, and one pixel more.
MARGIN = 31 // 2 + 1
# Stars that add less than this part to the variance plane are not to be seen.
FAINT = 0.05


@dataclass(frozen=True, kw_only=True)
class LsstScene:
    """Stars of 500 to 1000 units, the same ones in every image.

    Attributes
    ----------
    shape : tuple of int
        (ny, nx).
    n_stars : int
    """

    shape: tuple[int, int] = (256, 256)
    n_stars: int = 20

    def observe(self, sigma: float, seed: int, noise: float = 1.0) -> Exposure:
        """Return an image whose Gaussian PSF has a sigma [pixel].

        The variance plane holds the root of the stars' light in place of the
        light: theirs, used as given.
        """
        stars = self.light(sigma)
        sky = np.random.default_rng(seed).normal(0, noise, self.shape)
        empty = replace(self._sky, sources=())
        return replace(
            empty.observe(fwhm=FWHM_PER_SIGMA * sigma),
            image=np.float32(stars + sky - sky.mean()),
            variance=np.float32(noise**2 + np.sqrt(np.abs(stars))),
        )

    def light(self, sigma: float) -> NDArray[np.float64]:
        """Return the stars without noise."""
        return self._sky.render(GaussianProfile(fwhm=FWHM_PER_SIGMA * sigma))

    def blank(self, sigma: float, noise: float = 1.0) -> NDArray[np.bool_]:
        """Return where stars, seen this wide, are neither in image nor variance."""
        return np.sqrt(self.light(sigma)) < FAINT * noise**2

    @property
    def _sky(self) -> Scene:
        rng = np.random.default_rng(5)
        sides = np.array(self.shape[::-1])
        places = rng.uniform(MARGIN, sides - MARGIN, (self.n_stars, 2)).tolist()
        fluxes = rng.uniform(500, 1000, self.n_stars).tolist()
        return Scene(
            sources=tuple(
                PointSource(x, y, flux)
                for (x, y), flux in zip(places, fluxes, strict=True)
            ),
            shape=self.shape,
        )


@pytest.fixture(scope="session")
def lsst_scene() -> LsstScene:
    """20 stars on 256 x 256 px."""
    return LsstScene()
