"""What there is on a simulated sky."""

from dataclasses import dataclass
from math import cos, radians, sin

# An exponential disc holds half of its light within so many scale lengths.
HALF_LIGHT_SCALE_LENGTHS = 1.678347


@dataclass(frozen=True, slots=True)
class PointSource:
    """A star, or a change of one if negative.

    Attributes
    ----------
    x, y : float
        Position on the scene's own pixels.
    flux : float
        [nJy].
    """

    x: float
    y: float
    flux: float


@dataclass(frozen=True, slots=True)
class Galaxy:
    """An inclined exponential disc.

    Attributes
    ----------
    x, y : float
        Position on the scene's own pixels.
    flux : float
        [nJy].
    half_light_radius : float
        Along the major axis, before the PSF [pixel of the scene].
    axis_ratio : float
        Minor over major axis, in (0, 1].
    angle : float
        Of the major axis, from +x to +y on the scene's pixels [degree].
    """

    x: float
    y: float
    flux: float
    half_light_radius: float
    axis_ratio: float = 1.0
    angle: float = 0.0

    @property
    def axes(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return the matrix whose columns are the major and minor scale lengths."""
        scale = self.half_light_radius / HALF_LIGHT_SCALE_LENGTHS
        c, s = scale * cos(radians(self.angle)), scale * sin(radians(self.angle))
        return (c, -s * self.axis_ratio), (s, c * self.axis_ratio)


@dataclass(frozen=True, slots=True)
class TrailedSource:
    """A point source that moves evenly during the exposure.

    Attributes
    ----------
    x, y : float
        Position at mid-exposure, on the scene's own pixels.
    flux : float
        Of the whole trail [nJy].
    length : float
        [pixel of the scene].
    angle : float
        From +x to +y on the scene's pixels [degree].
    """

    x: float
    y: float
    flux: float
    length: float
    angle: float = 0.0

    def points(self) -> tuple[PointSource, ...]:
        """Return point sources, four to a pixel, that sum up to the trail."""
        n = max(1, round(4 * self.length))
        steps = [((i + 0.5) / n - 0.5) * self.length for i in range(n)]
        c, s = cos(radians(self.angle)), sin(radians(self.angle))
        return tuple(
            PointSource(self.x + c * step, self.y + s * step, self.flux / n)
            for step in steps
        )


Source = PointSource | Galaxy | TrailedSource
