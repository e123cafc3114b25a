"""Random changes of a sky: how many, where, and how they behave."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from math import cos, sin, sqrt, tau

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from streamdiff.testing.changes import Change, Mover, Transient, VariableStar
from streamdiff.testing.scene import Scene
from streamdiff.testing.sources import (
    HALF_LIGHT_SCALE_LENGTHS,
    Galaxy,
    PointSource,
    Source,
)

# Between changes, and from the nearest star where the sky is called blank [pixel].
CLEARANCE = 8.0
# Stars that vary or vanish, over the flux error of a visit.
VARIABLE_SNR = (20.0, 1000.0)
MOVER_SNR = 40.0

Spot = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """The part of a sky that every visit sees.

    Attributes
    ----------
    sky : Scene
    edge : int
        It begins so far inside the scene's own grid [pixel].
    flux_error : float
        Of a faint star in a visit [nJy].
    n_visits : int
    """

    sky: Scene
    edge: int
    flux_error: float
    n_visits: int

    @property
    def box(self) -> tuple[Spot, Spot]:
        """Return the lower left and upper right corner (x, y)."""
        ny, nx = self.sky.shape
        return (self.edge, self.edge), (nx - 1 - self.edge, ny - 1 - self.edge)

    def sources(self) -> Iterator[Source]:
        """Yield the static sources in the field."""
        (left, bottom), (right, top) = self.box
        for source in self.sky.sources:
            if left < source.x < right and bottom < source.y < top:
                yield source

    def draw_stars(self, rng: np.random.Generator, n: int) -> list[PointSource]:
        """Return up to n stars of `VARIABLE_SNR`, in random order."""
        low, high = (snr * self.flux_error for snr in VARIABLE_SNR)
        stars = [
            source
            for source in self.sources()
            if isinstance(source, PointSource) and low < source.flux < high
        ]
        return [stars[i] for i in rng.permutation(len(stars))[:n]]

    def draw_blank(self, rng: np.random.Generator, n: int) -> tuple[Spot, ...]:
        """Return up to n spots far from each other and from all sources."""
        tried = rng.uniform(*self.box, (50 * n, 2))
        if self.sky.sources:
            occupied = KDTree([(s.x, s.y) for s in self.sky.sources])
            tried = tried[occupied.query(tried)[0] > CLEARANCE]
        return tuple((x, y) for x, y in thin(tried, CLEARANCE)[:n].tolist())


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """How many things of a sky change, if there is room for them.

    Attributes
    ----------
    transients, hosted : int
        Flares on blank sky and on galaxies.
    transient_snr : tuple of float
        Range of the ideal S/N of a flare at its peak, on blank sky.
    vanished, variables : int
        Stars that vanish, and stars that vary.
    movers : int
        Minor planets.
    """

    transients: int = 25
    hosted: int = 15
    transient_snr: tuple[float, float] = (5.0, 100.0)
    vanished: int = 2
    variables: int = 25
    movers: int = 1

    def draw(self, rng: np.random.Generator, field: Field) -> tuple[Change, ...]:
        """Return random changes of a field."""
        blank = field.draw_blank(rng, self.transients + self.movers)
        galaxies = (s for s in field.sources() if isinstance(s, Galaxy))
        hosts = islice(galaxies, self.hosted)
        stars = field.draw_stars(rng, self.vanished + self.variables)
        low, high = (snr * field.flux_error for snr in self.transient_snr)
        spots = *blank[: self.transients], *draw_hosted(rng, hosts)
        return (
            *draw_transients(rng, spots, (low, high), field.n_visits),
            *draw_vanishing(rng, stars[: self.vanished], field.n_visits),
            *draw_variables(rng, stars[self.vanished :]),
            *draw_movers(rng, blank[self.transients :], MOVER_SNR * field.flux_error),
        )


def draw_transients(
    rng: np.random.Generator,
    spots: Iterable[Spot],
    flux_range: tuple[float, float],
    n_visits: int,
) -> tuple[Transient, ...]:
    """Return a transient at each spot, of log-uniform peak flux [nJy]."""
    low, high = np.log(flux_range)
    return tuple(
        Transient(
            x=x,
            y=y,
            peak=float(np.exp(rng.uniform(low, high))),
            first=_first_visit(rng, n_visits),
            decay=rng.uniform(5, 20),
        )
        for x, y in spots
    )


def draw_vanishing(
    rng: np.random.Generator, stars: Iterable[PointSource], n_visits: int
) -> tuple[Transient, ...]:
    """Return stars that vanish and slowly come back."""
    return tuple(
        Transient(
            x=star.x,
            y=star.y,
            peak=-star.flux,
            first=_first_visit(rng, n_visits),
            decay=50.0,
        )
        for star in stars
    )


def draw_movers(
    rng: np.random.Generator, spots: Iterable[Spot], flux: float
) -> tuple[Mover, ...]:
    """Return a minor planet from each spot, 4 to 8 pixels a visit."""
    movers = []
    for x, y in spots:
        step, turn = rng.uniform(4, 8), rng.uniform(0, tau)
        movers.append(
            Mover(x=x, y=y, step_x=step * cos(turn), step_y=step * sin(turn), flux=flux)
        )
    return tuple(movers)


def draw_variables(
    rng: np.random.Generator, stars: Iterable[PointSource]
) -> tuple[VariableStar, ...]:
    """Return stars that vary by 10 % to 60 % of their flux."""
    return tuple(
        VariableStar(
            x=star.x,
            y=star.y,
            amplitude=star.flux * rng.uniform(0.1, 0.6),
            period=rng.uniform(3, 15),
            phase=rng.uniform(),
        )
        for star in stars
    )


def draw_hosted(
    rng: np.random.Generator, galaxies: Iterable[Galaxy]
) -> tuple[Spot, ...]:
    """Return one spot inside the half-light radius of each galaxy."""
    spots = []
    for galaxy in galaxies:
        turn = rng.uniform(0, tau)
        reach = HALF_LIGHT_SCALE_LENGTHS * sqrt(rng.uniform())
        x, y = np.array(galaxy.axes) @ (reach * cos(turn), reach * sin(turn))
        spots.append((galaxy.x + float(x), galaxy.y + float(y)))
    return tuple(spots)


def thin(positions: NDArray[np.float64], distance: float) -> NDArray[np.float64]:
    """Return positions (n, 2) without those closer than that to an earlier one."""
    keep = np.ones(len(positions), bool)
    for first, second in KDTree(positions).query_pairs(distance, output_type="ndarray"):
        keep[max(first, second)] = False
    return positions[keep]


def _first_visit(rng: np.random.Generator, n_visits: int) -> int:
    return int(rng.integers(0, max(1, n_visits // 2)))
