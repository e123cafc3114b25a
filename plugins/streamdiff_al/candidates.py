"""Kernel candidates: the stars that the matching kernel is fitted to."""

from collections import defaultdict
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from streamdiff.imaging.stars import Stars
from streamdiff.model import Exposure
from streamdiff.model.psf import nearest_pixel

# A neighbour so many times brighter leaves nothing of the star to be fitted.
_DOMINANT = 10.0
_SMALLEST_CELL = 32.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateRules:
    """Which stars are candidates, and how many.

    Attributes
    ----------
    per_cell, most, least : int
        Candidates used at the same time in a cell, in all, and at the least.
    min_snr, best_snr : float
        Smallest signal-to-noise ratio in both images, and that of the star that
        is taken first: brighter ones show more of the errors of the PSF and of
        the detector than they add to the fit.
    """

    per_cell: int = 5
    most: int = 200
    least: int = 3
    min_snr: float = 10.0
    best_snr: float = 500.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A star that the kernel can be fitted to.

    Attributes
    ----------
    x, y : float
        Position [pixel].
    cell : int
        Number of the spatial cell that it lies in.
    """

    x: float
    y: float
    cell: int


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
    inside = (stars.x >= reach) & (stars.x <= width - 1 - reach)
    inside &= (stars.y >= reach) & (stars.y <= height - 1 - reach)
    fit = inside & (stars.snr >= rules.min_snr) & ~_is_dominated(stars, radius)
    chosen = stars.take(np.flatnonzero(fit))
    chosen = chosen.take(np.flatnonzero(_core_snr(other, chosen) >= rules.min_snr))
    best_first = np.argsort(np.abs(np.log(chosen.snr / rules.best_snr)), kind="stable")
    cells = _cells(chosen, other.shape, rules)
    return [
        Candidate(x=float(chosen.x[i]), y=float(chosen.y[i]), cell=int(cells[i]))
        for i in best_first
    ]


def choose_active(
    candidates: Sequence[Candidate], rejected: Container[int], per_cell: int
) -> list[int]:
    """Return the numbers of the best candidates of each cell, without rejected ones.

    So the next of a cell is promoted when one of it is rejected.
    """
    chosen = defaultdict[int, list[int]](list)
    for number, candidate in enumerate(candidates):
        if number not in rejected and len(chosen[candidate.cell]) < per_cell:
            chosen[candidate.cell].append(number)
    return sorted(_flatten(chosen.values()))


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
    snr = np.full(len(stars), np.nan)
    for i, position in enumerate(zip(stars.x, stars.y, strict=True)):
        column, row = nearest_pixel(*position)
        core = np.s_[row - 1 : row + 2, column - 1 : column + 2]
        variance = exposure.variance[core].sum(dtype=float)
        if variance > 0:
            snr[i] = exposure.image[core].sum(dtype=float) / np.sqrt(variance)
    return snr


def _cells(
    stars: Stars, shape: tuple[int, int], rules: CandidateRules
) -> NDArray[np.intp]:
    """Return cell numbers; the cells are so many that full ones hold ``most`` stars."""
    height, width = shape
    side = max(sqrt(height * width * rules.per_cell / rules.most), _SMALLEST_CELL)
    rows, columns = ((v / side).astype(np.intp) for v in (stars.y, stars.x))
    return rows * (int(width / side) + 1) + columns
