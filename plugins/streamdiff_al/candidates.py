"""Kernel candidates: the stars that the matching kernel is fitted to."""

import sys
from collections import defaultdict
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import inf, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from streamdiff.imaging.stamps import pixels_around
from streamdiff.imaging.stars import Stars, find_stars, known_stars
from streamdiff.model import Exposure

# The number that stands for no limit, as it does in LSST's configuration.
UNLIMITED = -1
# A neighbour so many times brighter leaves nothing of the star to be fitted.
_DOMINANT = 10.0
_SMALLEST_CELL, _USUAL_CELL = 32.0, 128.0
# Stars to be found per candidate that may be used: some are rejected.
_STARS_PER_CANDIDATE = 10


class CandidateSource(StrEnum):
    """Whose stars are candidates."""

    AUTO = "auto"
    """Those of the science image or, where they are too few, of the template."""
    SCIENCE = "science"
    TEMPLATE = "template"


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateRules:
    """Which stars are candidates, and how many.

    Attributes
    ----------
    per_cell, most : int
        Candidates used at the same time in a cell, and in all; `UNLIMITED` for all
        that there are.
    least : int
        With fewer, nothing is fitted.
    cell_size : float, optional
        Side of the spatial cells [pixel]; without it, they are so many that full
        ones hold ``most`` stars, or 128 px wide where there is no limit.
    control_step : int
        Every so many of the candidates is held back from the fit, to judge it; 0
        for none.
    min_snr, best_snr, max_snr : float
        Smallest signal-to-noise ratio in both images, that of the star that is
        taken first, and the largest: brighter ones show more of the errors of the
        PSF and of the detector than they add to the fit.

    Notes
    -----
    LSST asks for isolated, unresolved sources of a signal-to-noise ratio up to 500.
    Kernel times image is the other image for galaxies and blends, too, so that they
    serve as well as stars; what varies, the fit rejects. In crowded fields nothing is
    isolated, on shallow images little is fainter than that.

    Holding back one candidate in five makes the residuals of bright stars larger by
    0.4 % of the noise, on a field of 2,500 stars per megapixel.
    """

    per_cell: int = 5
    most: int = 200
    least: int = 3
    cell_size: float | None = None
    control_step: int = 0
    min_snr: float = 10.0
    best_snr: float = 500.0
    max_snr: float = inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A star that the kernel can be fitted to.

    Attributes
    ----------
    x, y : float
        Position [pixel].
    snr : float
        Signal-to-noise ratio in the image where it was found.
    cell : int
        Number of the spatial cell that it lies in.
    """

    x: float
    y: float
    snr: float
    cell: int


def candidate_stars(exposure: Exposure, rules: CandidateRules) -> Stars:
    """Return the stars of an exposure: those of its catalogue, if it has one."""
    if exposure.stars is not None:
        return known_stars(exposure, threshold=rules.min_snr)
    most = None if rules.most == UNLIMITED else _STARS_PER_CANDIDATE * rules.most
    return find_stars(exposure, threshold=rules.min_snr, max_stars=most)


def rank_candidates(
    stars: Stars, other: Exposure, *, reach: int, radius: float, rules: CandidateRules
) -> list[Candidate]:
    """Return the stars fit for use, the best first.

    Parameters
    ----------
    stars : Stars
        All stars of one exposure.
    other : Exposure
        The other exposure: a star must be seen on it, too.
    reach : int
        Distance [pixel] that a candidate keeps from the border.
    radius : float
        A much brighter star within it [pixel] spoils a candidate.
    rules : CandidateRules
    """
    height, width = other.shape
    fit = (stars.x >= reach) & (stars.x <= width - 1 - reach)
    fit &= (stars.y >= reach) & (stars.y <= height - 1 - reach)
    fit &= (stars.snr >= rules.min_snr) & (stars.snr <= rules.max_snr)
    chosen = stars.take(np.flatnonzero(fit & ~_is_dominated(stars, radius)))
    chosen = chosen.take(np.flatnonzero(_core_snr(other, chosen) >= rules.min_snr))
    best_first = np.argsort(np.abs(np.log(chosen.snr / rules.best_snr)), kind="stable")
    chosen = chosen.take(best_first)
    cells = _cells(chosen, other.shape, rules)
    columns = (chosen.x, chosen.y, chosen.snr, cells)
    return [
        Candidate(x=x, y=y, snr=snr, cell=cell)
        for x, y, snr, cell in zip(*(c.tolist() for c in columns), strict=True)
    ]


def choose_active(
    candidates: Sequence[Candidate], excluded: Container[int], rules: CandidateRules
) -> list[int]:
    """Return the numbers of the best candidates of each cell that are not excluded.

    So the next of a cell is promoted when one of it is rejected.
    """
    chosen = defaultdict[int, list[int]](list)
    for number, candidate in enumerate(candidates):
        in_cell = chosen[candidate.cell]
        if number not in excluded and len(in_cell) < _limit(rules.per_cell):
            in_cell.append(number)
    best = sorted(_flatten(chosen.values()))
    return best[: _limit(rules.most)]


def choose_control(
    candidates: Sequence[Candidate], rules: CandidateRules
) -> frozenset[int]:
    """Return the numbers of candidates that the fit is to be judged by.

    There are none where they would leave too few for the fit itself.
    """
    if not rules.control_step:
        return frozenset()
    active = choose_active(candidates, frozenset(), rules)
    control = active[rules.control_step - 1 :: rules.control_step]
    spare = len(active) - len(control) >= rules.least
    return frozenset(control if spare else ())


def _limit(number: int) -> int:
    return sys.maxsize if number == UNLIMITED else number


def _flatten(lists: Iterable[list[int]]) -> list[int]:
    return [number for numbers in lists for number in numbers]


def _is_dominated(stars: Stars, radius: float) -> NDArray[np.bool_]:
    dominated = np.zeros(len(stars), bool)
    if not len(stars):
        return dominated
    pairs = cKDTree(np.column_stack([stars.x, stars.y])).query_pairs(
        radius, output_type="ndarray"
    )
    for faint, bright in (pairs.T, pairs.T[::-1]):
        dominated[faint[stars.flux[bright] > _DOMINANT * stars.flux[faint]]] = True
    return dominated


def _core_snr(exposure: Exposure, stars: Stars) -> NDArray[np.float64]:
    """Return the signal-to-noise ratios of the central 3 x 3 px; NaN if unusable."""
    pixels, inside = pixels_around(exposure.shape, stars.x, stars.y, (3, 3))
    flux, variance = (
        np.where(inside, plane[pixels], np.nan).sum(axis=(1, 2), dtype=float)
        for plane in (exposure.image, exposure.variance)
    )
    known = variance > 0
    snr = np.full(len(stars), np.nan)
    snr[known] = flux[known] / np.sqrt(variance[known])
    return snr


def _cells(
    stars: Stars, shape: tuple[int, int], rules: CandidateRules
) -> NDArray[np.intp]:
    """Return the number of the cell of each star."""
    height, width = shape
    side = rules.cell_size or _filled_cell(height * width, rules)
    rows, columns = ((v / side).astype(np.intp) for v in (stars.y, stars.x))
    return rows * (int(width / side) + 1) + columns


def _filled_cell(area: int, rules: CandidateRules) -> float:
    """Return the side of cells so many that full ones hold ``most`` stars."""
    if UNLIMITED in {rules.per_cell, rules.most}:
        return _USUAL_CELL
    return max(sqrt(area * rules.per_cell / rules.most), _SMALLEST_CELL)
