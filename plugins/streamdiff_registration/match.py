"""Which stars two images have in common."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from streamdiff.imaging.stars import Stars

# Stars that vote on the common shift; the other image may rank them differently.
_VOTERS, _CANDIDATES = 200, 1000
# A shift wins by so many standard deviations over chance, and so many votes.
_SIGNIFICANT, _MIN_VOTES = 5.0, 3
# A neighbour this near and so bright, relative to the star, displaces it.
_NEAR_FWHM, _BRIGHT = 2.0, 0.1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CommonStars:
    """Stars that are in both images; arrays of shape (n, 2) hold x and y [pixel].

    Attributes
    ----------
    science, template : ndarray of float64, shape (n, 2)
        Their approximate positions.
    """

    science: NDArray[np.float64]
    template: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.science)


def common_stars(
    science: Stars,
    template: Stars,
    *,
    search_radius: float,
    max_offset: float,
    max_stars: int,
) -> CommonStars:
    """Return the stars in both lists, the brightest of the science image first.

    Parameters
    ----------
    science, template : Stars
    search_radius : float
        Largest shift that all stars may have in common [pixel].
    max_offset : float
        Largest distance of a pair from that shift [pixel].
    max_stars : int

    Notes
    -----
    Pairs are each other's nearest after the shift. Stars that a neighbour may
    displace are left out. No shift that stands out: no stars.
    """
    if not (len(science) and len(template)):
        return _no_stars()
    alone, others = science.take(_isolated(science)), template.take(_isolated(template))
    shift = _common_shift(alone, others, search_radius, max_offset / 2)
    if shift is None:
        return _no_stars()
    here, there = _positions(alone), _positions(others)
    i, j = _mutual_nearest(here + shift, there, max_offset)
    return CommonStars(science=here[i[:max_stars]], template=there[j[:max_stars]])


def _no_stars() -> CommonStars:
    return CommonStars(science=np.zeros((0, 2)), template=np.zeros((0, 2)))


def _positions(stars: Stars) -> NDArray[np.float64]:
    return np.column_stack([stars.x, stars.y])


def _isolated(stars: Stars) -> NDArray[np.bool_]:
    """Return False for stars with a neighbour that may displace them."""
    near = _NEAR_FWHM * float(np.median(stars.fwhm))
    i, j = cKDTree(_positions(stars)).query_pairs(near, output_type="ndarray").T
    isolated = np.ones(len(stars), bool)
    isolated[i[stars.flux[j] > _BRIGHT * stars.flux[i]]] = False
    isolated[j[stars.flux[i] > _BRIGHT * stars.flux[j]]] = False
    return isolated


def _common_shift(
    science: Stars, template: Stars, search_radius: float, width: float
) -> NDArray[np.float64] | None:
    """Return the shift on which most pairs agree to ``width``, shape (2,)."""
    here, there = _positions(science)[:_VOTERS], _positions(template)[:_CANDIDATES]
    if not (len(here) and len(there)):
        return None
    reach = search_radius + width
    near = cKDTree(there).query_ball_point(here, reach)
    shifts = np.concatenate(
        [there[rows] - here[i] for i, rows in enumerate(near)] or [np.zeros((0, 2))]
    )
    if len(shifts) < _MIN_VOTES:
        return None
    votes = cKDTree(shifts).query_ball_point(shifts, width, return_length=True)
    by_chance = len(shifts) * (width / reach) ** 2
    best = int(np.argmax(votes))
    if votes[best] < max(_MIN_VOTES, by_chance + _SIGNIFICANT * np.sqrt(by_chance)):
        return None
    agreeing = np.hypot(*(shifts - shifts[best]).T) <= width
    shift: NDArray[np.float64] = np.median(shifts[agreeing], axis=0)
    return shift


def _mutual_nearest(
    here: NDArray[np.float64], there: NDArray[np.float64], max_distance: float
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows of pairs that are each other's nearest."""
    distance, nearest = cKDTree(there).query(here)
    _, back = cKDTree(here).query(there)
    rows = np.arange(len(here))
    mutual = (back[nearest] == rows) & (distance <= max_distance)
    return rows[mutual], nearest[mutual]
