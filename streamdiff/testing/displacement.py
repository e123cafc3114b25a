"""How far stars are from where the WCS says."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Waves per image side, along x and y, of the smooth part.
MODES = ((0.0, 0.5), (0.5, 0.0), (0.5, 0.5), (0.5, -0.5), (1.0, 0.0), (0.0, 1.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Displacement:
    """A registration error: a smooth field plus a scatter from star to star.

    Attributes
    ----------
    rms : float
        Of the smooth field over the image, along each axis [pixel].
    jitter : float
        Standard deviation of the independent shift of each star, along each
        axis [pixel].
    seed : int
        Another seed is another field.
    """

    rms: float = 0.0
    jitter: float = 0.0
    seed: int = 0

    def smooth(
        self, x: ArrayLike, y: ArrayLike, shape: tuple[int, int]
    ) -> NDArray[np.float64]:
        """Return the smooth field at positions on an image.

        Returns
        -------
        ndarray of float64, shape (2, *x.shape)
            Along x and y [pixel], to be added to the positions.
        """
        centres = (np.linspace(0, n - 1, 33) for n in shape)
        grid_y, grid_x = np.meshgrid(*centres, indexing="ij")
        size = np.sqrt(np.mean(np.square(self._waves(grid_x, grid_y, shape)), (1, 2)))
        waves = self._waves(np.asarray(x, float), np.asarray(y, float), shape)
        return np.array([self.rms * w / s for w, s in zip(waves, size, strict=True)])

    def scatter(self, n: int) -> NDArray[np.float64]:
        """Return the shifts of the first n stars, shape (2, n) [pixel]."""
        rng = np.random.default_rng([self.seed, 1])
        return self.jitter * rng.standard_normal((n, 2)).T

    def _waves(
        self, x: NDArray[np.float64], y: NDArray[np.float64], shape: tuple[int, int]
    ) -> NDArray[np.float64]:
        rng = np.random.default_rng([self.seed, 0])
        field = np.zeros((2, *x.shape))
        for along_x, along_y in MODES:
            turn = 2 * np.pi * (along_x * x / shape[1] + along_y * y / shape[0])
            phase, height = rng.uniform(0, 2 * np.pi, 2), rng.uniform(0.5, 1, 2)
            for axis in range(2):
                field[axis] += height[axis] * np.cos(turn + phase[axis])
        return field
