"""Which alert of one side is which of the other: by exposure, then by position."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from streamdiff.app.alerts.columns import DEC, DETECTOR, RA, VISIT, AlertTable
from streamdiff.app.alerts.reading import VisitDetector

ARCSEC = np.pi / 180 / 3600

Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Matches:
    """Alerts of two sides, A and B, by exposure.

    Attributes
    ----------
    exposure : VisitDetector
    rows_a, rows_b : ndarray of int, shape (n,)
        Rows of A, and the rows of B that they match.
    lost, new : ndarray of int
        Rows of A, and of B, that match none.
    """

    exposure: VisitDetector
    rows_a: Rows
    rows_b: Rows
    lost: Rows
    new: Rows


def match(a: AlertTable, b: AlertTable, radius_arcsec: float) -> Iterator[Matches]:
    """Yield the matches of each exposure that either side has, by visit and detector.

    Each alert matches at most one: the pairs within the radius are taken nearest
    first; of pairs as near as each other, that of the lowest ids.
    """
    of_exposure_a, of_exposure_b = rows_by_exposure(a), rows_by_exposure(b)
    positions_a, positions_b = _directions(a), _directions(b)
    known = of_exposure_a.keys() | of_exposure_b.keys() | a.processed | b.processed
    none = np.zeros(0, np.intp)
    for exposure in sorted(known):
        of_a, of_b = (
            of_exposure_a.get(exposure, none),
            of_exposure_b.get(exposure, none),
        )
        at_a, at_b = nearest_pairs(positions_a[of_a], positions_b[of_b], radius_arcsec)
        yield Matches(
            exposure=exposure,
            rows_a=of_a[at_a],
            rows_b=of_b[at_b],
            lost=np.delete(of_a, at_a),
            new=np.delete(of_b, at_b),
        )


def nearest_pairs(
    a: NDArray[np.float64], b: NDArray[np.float64], radius_arcsec: float
) -> tuple[Rows, Rows]:
    """Return the places in a, ascending, and those in b that they match.

    Parameters
    ----------
    a, b : ndarray, shapes (n, 3) and (m, 3)
        Unit vectors.
    radius_arcsec : float
        Largest separation.
    """
    none = np.zeros(0, np.intp)
    if not (len(a) and len(b)):
        return none, none
    chord = 2 * np.sin(radius_arcsec * ARCSEC / 2)
    near = cKDTree(a).sparse_distance_matrix(cKDTree(b), chord, output_type="ndarray")
    nearest_first = near[np.lexsort((near["j"], near["i"], near["v"]))]
    partners: dict[int, int] = {}
    taken: set[int] = set()
    for i, j in zip(
        nearest_first["i"].tolist(), nearest_first["j"].tolist(), strict=True
    ):
        if i not in partners and j not in taken:
            partners[i] = j
            taken.add(j)
    ordered = sorted(partners)
    return (
        np.array(ordered, np.intp),
        np.array([partners[i] for i in ordered], np.intp),
    )


def rows_by_exposure(table: AlertTable) -> dict[VisitDetector, Rows]:
    """Return the rows of each exposure; a table is ordered by exposure."""
    if not len(table):
        return {}
    names = np.stack(
        [table.column(n).values.astype(np.int64) for n in (VISIT, DETECTOR)]
    )
    starts = np.flatnonzero((np.diff(names, axis=1) != 0).any(axis=0)) + 1
    return {
        VisitDetector(*names[:, rows[0]].tolist()): rows
        for rows in np.split(np.arange(len(table)), starts)
    }


def _directions(table: AlertTable) -> NDArray[np.float64]:
    """Return unit vectors, shape (n, 3)."""
    ra, dec = (np.radians(table.column(n).values.astype(float)) for n in (RA, DEC))
    return np.stack(
        [np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1
    )
