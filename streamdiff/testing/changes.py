"""What changes on a simulated sky from visit to visit."""

from dataclasses import dataclass
from math import exp, sin, tau
from typing import ClassVar, Literal, Protocol

from streamdiff.testing.sources import PointSource

Kind = Literal["transient", "variable", "mover"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueChange:
    """How one visit differs from the static sky at one place.

    Attributes
    ----------
    kind : {"transient", "variable", "mover"}
    ra, dec : float
        ICRS [degree].
    x, y : float
        Where it is on the image of the visit, errors of the WCS included [pixel].
    flux : float
        Above the static sky, negative below [nJy].
    ideal_snr : float
        ``flux`` over the smallest possible error, with the photon noise of
        what is around; negative below the static sky.
    """

    kind: Kind
    ra: float
    dec: float
    x: float
    y: float
    flux: float
    ideal_snr: float


class Change(Protocol):
    """Something whose flux or place depends on the visit."""

    @property
    def kind(self) -> Kind:
        """Return what it is."""
        ...

    def during(self, visit: int) -> PointSource | None:
        """Return what to add to the static sky in a visit, counted from 0."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Transient:
    """A flare, or with a negative peak a star that vanishes for a while.

    Attributes
    ----------
    x, y : float
        On the scene's pixels.
    peak : float
        Flux in the first visit [nJy].
    first : int
        Visit in which it appears.
    decay : float
        Visits until it has faded by a factor e.
    """

    kind: ClassVar[Kind] = "transient"
    x: float
    y: float
    peak: float
    first: int
    decay: float

    def during(self, visit: int) -> PointSource | None:
        """Return it as a source, or ``None`` before it appears."""
        age = visit - self.first
        if age < 0:
            return None
        return PointSource(self.x, self.y, self.peak * exp(-age / self.decay))


@dataclass(frozen=True, slots=True, kw_only=True)
class VariableStar:
    """A star that pulsates about its static flux.

    Attributes
    ----------
    x, y : float
        On the scene's pixels.
    amplitude : float
        [nJy].
    period : float
        [visit].
    phase : float
        In the first visit, in [0, 1).
    """

    kind: ClassVar[Kind] = "variable"
    x: float
    y: float
    amplitude: float
    period: float
    phase: float

    def during(self, visit: int) -> PointSource:
        """Return what to add to the star, which may be negative."""
        turn = tau * (visit / self.period + self.phase)
        return PointSource(self.x, self.y, self.amplitude * sin(turn))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mover:
    """A minor planet.

    Attributes
    ----------
    x, y : float
        In the first visit, on the scene's pixels.
    step_x, step_y : float
        Motion from visit to visit [pixel].
    flux : float
        [nJy].
    """

    kind: ClassVar[Kind] = "mover"
    x: float
    y: float
    step_x: float
    step_y: float
    flux: float

    def during(self, visit: int) -> PointSource:
        """Return it as a source."""
        return PointSource(
            self.x + visit * self.step_x, self.y + visit * self.step_y, self.flux
        )
