"""Shapes of stars: analytic profiles, constant or varying over an image."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil, sqrt
from typing import Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamdiff.model import ConstantPsf, GridPsf, Psf

# Quadratic shapes sampled on so many nodes are known to 1e-6 between them.
GRID_NODES = 7

Form = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


class Profile(Protocol):
    """What a star looks like, as a function of its position on the image."""

    @property
    def side(self) -> int:
        """Return the odd side of a stamp that holds a star anywhere."""
        ...

    def at(self, x: float, y: float, shape: tuple[int, int]) -> "EllipticalProfile":
        """Return the profile of a star at (x, y) on an image of that shape."""
        ...

    def forms(self, x: ArrayLike, y: ArrayLike, shape: tuple[int, int]) -> Form:
        """Return `quadratic_form` of the profiles of many stars."""
        ...

    def radial(self, r2: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the density at squared radii [FWHM**2], of integral 1."""
        ...

    def psf(self, shape: tuple[int, int]) -> Psf:
        """Return the profile as the PSF of an image of that shape."""
        ...


def quadratic_form(fwhm: ArrayLike, ellipticity: ArrayLike, angle: ArrayLike) -> Form:
    """Return (xx, xy, yy): r**2 = xx dx**2 + 2 xy dx dy + yy dy**2 [FWHM**2].

    Parameters
    ----------
    fwhm : array_like of float
        Geometric mean of the full widths along both axes [pixel].
    ellipticity : array_like of float
        1 - minor / major axis, in [0, 1).
    angle : array_like of float
        Of the major axis, from +x to +y [degree].
    """
    axis_ratio = 1 - np.asarray(ellipticity, float)
    major, minor = axis_ratio / np.square(fwhm), 1 / (axis_ratio * np.square(fwhm))
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return (
        major * cos**2 + minor * sin**2,
        (major - minor) * cos * sin,
        major * sin**2 + minor * cos**2,
    )


@dataclass(frozen=True, kw_only=True)
class EllipticalProfile(ABC):
    """A profile that depends on an elliptical radius alone.

    Attributes
    ----------
    fwhm : float
        Geometric mean of the full widths along both axes [pixel].
    ellipticity : float
        1 - minor / major axis, in [0, 1).
    angle : float
        Of the major axis, from +x to +y [degree].
    """

    fwhm: float
    ellipticity: float = 0.0
    angle: float = 0.0

    def __post_init__(self) -> None:
        if not (self.fwhm > 0 and 0 <= self.ellipticity < 1):
            raise ValueError(
                f"a profile needs fwhm > 0 and ellipticity in [0, 1), got {self}"
            )

    @property
    @abstractmethod
    def reach(self) -> float:
        """Return the radius beyond which there is nothing [FWHM]."""

    @abstractmethod
    def radial(self, r2: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the density at squared radii [FWHM**2], of integral 1."""

    @property
    def side(self) -> int:
        """Return the odd side of a stamp that holds the profile."""
        return 2 * ceil(self.reach * self.fwhm / sqrt(1 - self.ellipticity)) + 1

    def at(self, x: float, y: float, shape: tuple[int, int]) -> Self:  # noqa: ARG002
        """Return the profile, the same everywhere."""
        return self

    def forms(
        self,
        x: ArrayLike,
        y: ArrayLike,  # noqa: ARG002
        shape: tuple[int, int],  # noqa: ARG002
    ) -> Form:
        """Return the quadratic form, the same for all stars."""
        form = quadratic_form(self.fwhm, self.ellipticity, self.angle)
        xx, xy, yy = (np.full(np.shape(x), part) for part in form)
        return xx, xy, yy

    def stamp(
        self, dx: float = 0.0, dy: float = 0.0, size: int | None = None
    ) -> NDArray[np.float64]:
        """Return the profile sampled at pixel centres, sum 1 but for cut wings.

        Parameters
        ----------
        dx, dy : float
            Position of the star relative to the middle pixel [pixel].
        size : int, optional
            Odd side of the stamp; `side` if not given.
        """
        size = self.side if size is None else size
        u = np.arange(size) - size // 2 - dx
        v = (np.arange(size) - size // 2 - dy)[:, np.newaxis]
        xx, xy, yy = quadratic_form(self.fwhm, self.ellipticity, self.angle)
        return self.radial(xx * u**2 + 2 * xy * u * v + yy * v**2) / self.fwhm**2

    def psf(self, shape: tuple[int, int]) -> ConstantPsf:  # noqa: ARG002
        """Return the profile as a PSF."""
        return ConstantPsf(self.stamp())


@dataclass(frozen=True, kw_only=True)
class GaussianProfile(EllipticalProfile):
    """A Gaussian, cut at 3e-8 of its peak."""

    @property
    def reach(self) -> float:
        """Return the radius of the cut [FWHM]."""
        return 2.5

    def radial(self, r2: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the density at squared radii [FWHM**2], of integral 1."""
        rate = 4 * np.log(2)
        density: NDArray[np.float64] = rate / np.pi * np.exp(-rate * r2)
        return density


@dataclass(frozen=True, kw_only=True)
class MoffatProfile(EllipticalProfile):
    """A Moffat profile whose wings fade smoothly to nothing at ``wings``.

    Attributes
    ----------
    beta : float
        Exponent, above 1; the turbulent atmosphere has 2.5 to 5.
    wings : float
        Radius where the profile ends [FWHM].

    Notes
    -----
    The factor (1 - (r / wings)**4)**2 makes the profile end without a step, so
    that a stamp holds all of it; it changes the FWHM by less than 1e-3.
    """

    beta: float = 3.5
    wings: float = 4.0

    @property
    def reach(self) -> float:
        """Return ``wings``."""
        return self.wings

    def radial(self, r2: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the density at squared radii [FWHM**2], of integral 1."""
        return _faded_moffat(r2, self.beta, self.wings) / _moffat_integral(
            self.beta, self.wings
        )


@dataclass(frozen=True, kw_only=True)
class VaryingProfile:
    """A profile whose width and elongation vary smoothly over the image.

    With u and v running from -1 to 1 over the image, the FWHM is that of the
    middle times 1 + slope . (u, v) + curvature (u**2 + v**2) / 2.

    Attributes
    ----------
    middle : GaussianProfile or MoffatProfile
        In the middle of the image.
    fwhm_slope : tuple of float
        Relative change of the FWHM from the middle to the right and upper border.
    fwhm_curvature : float
        Relative change of the FWHM from the middle to the corners.
    corner_ellipticity : float
        Elongation away from the middle that the corners get on top; it grows
        as the square of the distance.
    """

    middle: EllipticalProfile
    fwhm_slope: tuple[float, float] = (0.08, 0.04)
    fwhm_curvature: float = 0.0
    corner_ellipticity: float = 0.0

    @property
    def side(self) -> int:
        """Return the odd side of a stamp that holds a star anywhere."""
        nodes = np.linspace(0, 1, GRID_NODES)
        return max(self.at(x, y, (2, 2)).side for x in nodes for y in nodes)

    def at(self, x: float, y: float, shape: tuple[int, int]) -> EllipticalProfile:
        """Return the profile of a star at (x, y) on an image of that shape."""
        fwhm, ellipticity, angle = (float(v) for v in self._shapes(x, y, shape))
        return replace(self.middle, fwhm=fwhm, ellipticity=ellipticity, angle=angle)

    def forms(self, x: ArrayLike, y: ArrayLike, shape: tuple[int, int]) -> Form:
        """Return `quadratic_form` of the profiles of many stars."""
        return quadratic_form(*self._shapes(x, y, shape))

    def radial(self, r2: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the density at squared radii [FWHM**2], of integral 1."""
        return self.middle.radial(r2)

    def psf(self, shape: tuple[int, int]) -> GridPsf:
        """Return the profile at the nodes of a grid that covers the image."""
        y, x = (np.linspace(0, max(n - 1, 1), GRID_NODES) for n in shape)
        side = self.side
        stamps = [[self.at(u, v, shape).stamp(size=side) for u in x] for v in y]
        return GridPsf(stamps=np.array(stamps), x=x, y=y)

    def _shapes(
        self, x: ArrayLike, y: ArrayLike, shape: tuple[int, int]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return fwhm, ellipticity and angle at positions; constant outside."""
        v, u = (
            np.clip(2 * np.asarray(p, float) / max(n - 1, 1) - 1, -1, 1)
            for p, n in zip((y, x), shape, strict=True)
        )
        slope_x, slope_y = self.fwhm_slope
        bow = self.fwhm_curvature * (u**2 + v**2) / 2
        fwhm = self.middle.fwhm * (1 + slope_x * u + slope_y * v + bow)
        turn = np.radians(2 * self.middle.angle)
        e1 = self.middle.ellipticity * np.cos(turn)
        e2 = self.middle.ellipticity * np.sin(turn)
        e1 = e1 + self.corner_ellipticity * (u**2 - v**2) / 2
        e2 = e2 + self.corner_ellipticity * u * v
        return fwhm, np.hypot(e1, e2), np.degrees(np.arctan2(e2, e1)) / 2


def _faded_moffat(
    r2: NDArray[np.float64], beta: float, wings: float
) -> NDArray[np.float64]:
    width = 4 * (2 ** (1 / beta) - 1)
    fade = np.square(np.clip(1 - np.square(r2 / wings**2), 0, None))
    faded: NDArray[np.float64] = fade * (1 + width * r2) ** -beta
    return faded


@lru_cache(maxsize=64)
def _moffat_integral(beta: float, wings: float) -> float:
    """Return the integral of `_faded_moffat` over the plane [FWHM**2]."""
    nodes, weights = np.polynomial.legendre.leggauss(128)
    r = wings * (nodes + 1) / 2
    ring = 2 * np.pi * r * _faded_moffat(r**2, beta, wings)
    return float(wings / 2 * weights @ ring)
