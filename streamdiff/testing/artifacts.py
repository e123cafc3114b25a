"""What is on real images and not on the sky."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streamdiff.model import MaskPlane

# So fine, the charge along a cosmic ray is nearly even.
STEPS_PER_PIXEL = 8


class Artifact(Protocol):
    """A blemish of one exposure."""

    def add(
        self,
        image: NDArray[np.float64],
        mask: NDArray[np.int32],
        rng: np.random.Generator,
    ) -> None:
        """Add it to an image without noise, in place."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CosmicRays:
    """Sharp tracks at random places.

    Attributes
    ----------
    n : int
    length : float
        Mean of their exponentially distributed lengths [pixel].
    flux : float
        Median of their flux per pixel of length [nJy]; the scatter is 0.5 dex.
    flagged : bool
        Whether the mask has `MaskPlane.CR` there, as after a rejection.
    """

    n: int
    length: float = 8.0
    flux: float = 2000.0
    flagged: bool = False

    def add(
        self,
        image: NDArray[np.float64],
        mask: NDArray[np.int32],
        rng: np.random.Generator,
    ) -> None:
        """Add the tracks to an image without noise, in place."""
        height, width = image.shape
        for _ in range(self.n):
            rows, columns = self._track(rng, image.shape)
            flux = self.flux / STEPS_PER_PIXEL * 10 ** rng.normal(0, 0.5)
            on = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
            np.add.at(image, (rows[on], columns[on]), flux)
            if self.flagged:
                mask[rows[on], columns[on]] |= MaskPlane.CR

    def _track(
        self, rng: np.random.Generator, shape: tuple[int, ...]
    ) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
        """Return the rows and columns of the steps along a random track."""
        y, x = rng.uniform(-0.5, np.array(shape) - 0.5)
        turn = rng.uniform(0, 2 * np.pi)
        steps = np.arange(0, 1 + rng.exponential(self.length), 1 / STEPS_PER_PIXEL)
        rows, columns = y + steps * np.sin(turn), x + steps * np.cos(turn)
        return np.rint(rows).astype(int), np.rint(columns).astype(int)


@dataclass(frozen=True, slots=True, kw_only=True)
class Streak:
    """The trail of a satellite across the whole image.

    Attributes
    ----------
    x, y : float
        Any point on it [pixel].
    angle : float
        From +x to +y [degree].
    flux : float
        Per pixel of length [nJy].
    fwhm : float
        Across [pixel].
    """

    x: float
    y: float
    angle: float
    flux: float = 2000.0
    fwhm: float = 4.0

    def add(
        self,
        image: NDArray[np.float64],
        mask: NDArray[np.int32],  # noqa: ARG002
        rng: np.random.Generator,  # noqa: ARG002
    ) -> None:
        """Add the trail to an image, in place."""
        height, width = image.shape
        cos, sin = np.cos(np.radians(self.angle)), np.sin(np.radians(self.angle))
        y = np.arange(height)[:, np.newaxis] - self.y
        across = (y * cos - (np.arange(width) - self.x) * sin) / self.fwhm
        rate = 4 * np.log(2)
        image += (
            self.flux / self.fwhm * np.sqrt(rate / np.pi) * np.exp(-rate * across**2)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ghost:
    """The even disc of an out-of-focus reflection.

    Attributes
    ----------
    x, y, radius : float
        [pixel].
    level : float
        Per pixel [nJy].
    """

    x: float
    y: float
    radius: float
    level: float = 30.0

    def add(
        self,
        image: NDArray[np.float64],
        mask: NDArray[np.int32],  # noqa: ARG002
        rng: np.random.Generator,  # noqa: ARG002
    ) -> None:
        """Add the disc to an image, in place."""
        height, width = image.shape
        dy = np.arange(height)[:, np.newaxis] - self.y
        distance = np.hypot(dy, np.arange(width) - self.x)
        image += self.level * np.clip(self.radius - distance + 0.5, 0, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SkyGradient:
    """A background that was not subtracted well.

    Attributes
    ----------
    level : float
        In the middle of the image [nJy].
    slope_x, slope_y : float
        Change from the middle to the right and upper border [nJy].
    """

    level: float = 0.0
    slope_x: float = 0.0
    slope_y: float = 0.0

    def add(
        self,
        image: NDArray[np.float64],
        mask: NDArray[np.int32],  # noqa: ARG002
        rng: np.random.Generator,  # noqa: ARG002
    ) -> None:
        """Add the background to an image, in place."""
        height, width = image.shape
        v = np.linspace(-1, 1, height)[:, np.newaxis]
        image += (
            self.level + self.slope_x * np.linspace(-1, 1, width) + self.slope_y * v
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BadColumns:
    """Columns without a useful value, flagged `MaskPlane.BAD`.

    Attributes
    ----------
    columns : tuple of int
    level : float
        What they read [nJy].
    """

    columns: tuple[int, ...]
    level: float = 5000.0

    def add(
        self,
        image: NDArray[np.float64],
        mask: NDArray[np.int32],
        rng: np.random.Generator,  # noqa: ARG002
    ) -> None:
        """Overwrite the columns of an image, in place."""
        columns = list(self.columns)
        image[:, columns] = self.level
        mask[:, columns] |= MaskPlane.BAD


@dataclass(frozen=True, slots=True, kw_only=True)
class NoData:
    """A rectangle without data: NaN, flagged `MaskPlane.NO_DATA`.

    Attributes
    ----------
    x, y : tuple of int
        First column and row, and those after the last.
    """

    x: tuple[int, int]
    y: tuple[int, int]

    def add(
        self,
        image: NDArray[np.float64],
        mask: NDArray[np.int32],
        rng: np.random.Generator,  # noqa: ARG002
    ) -> None:
        """Blank the rectangle of an image, in place."""
        rectangle = slice(*self.y), slice(*self.x)
        image[rectangle] = np.nan
        mask[rectangle] |= MaskPlane.NO_DATA
