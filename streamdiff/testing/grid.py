"""Where the pixels of one WCS are on another."""

from dataclasses import dataclass

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from streamdiff.testing.displacement import Displacement


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grid:
    """From the pixels of a scene to those of one of its images.

    Attributes
    ----------
    own : astropy.wcs.WCS
        Of the scene.
    wcs : astropy.wcs.WCS, optional
        Of the image, if it is another.
    shape : tuple of int
        (height, width) of the image.
    displacement : Displacement, optional
        Error of ``wcs``.
    """

    own: WCS
    wcs: WCS | None
    shape: tuple[int, int]
    displacement: Displacement | None

    def place(
        self,
        x: NDArray[np.float64],
        y: NDArray[np.float64],
        index: NDArray[np.float64],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return where sources fall; ``index`` tells which of the scene they are."""
        x, y = project(x, y, self.own, self.wcs)
        if self.displacement is None:
            return x, y
        of_source = index.astype(int)
        scatter = self.displacement.scatter(of_source.max(initial=-1) + 1)
        dx, dy = self.displacement.smooth(x, y, self.shape) + scatter[:, of_source]
        return x + dx, y + dy

    def jacobians(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return d(image pixel) / d(own pixel) at positions, shape (n, 2, 2)."""
        step_x = np.array([0.5, 0, -0.5, 0])[:, np.newaxis]
        step_y = np.array([0, 0.5, 0, -0.5])[:, np.newaxis]
        ends = np.array(project(x + step_x, y + step_y, self.own, self.wcs))
        return np.moveaxis(ends[:, :2] - ends[:, 2:], 2, 0)


def project(
    x: NDArray[np.float64], y: NDArray[np.float64], own: WCS, wcs: WCS | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return pixels of one WCS as pixels of another; ``None`` is the same."""
    if wcs is None or x.size == 0:
        return x, y
    u, v = wcs.all_world2pix(*own.all_pix2world(x, y, 0), 0)
    return u, v
