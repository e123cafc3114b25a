"""Pairs of DiaSources and DiaObjects that may be one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.sky_neighbours import neighbours
from streamdiff.model import DiaObjects, DiaSources, SourceRows
from streamdiff.model.dia_objects import position_covariance
from streamdiff.model.tangent_plane import inverse, offsets_arcsec, product


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pairs:
    """Pairs of rows, and how far apart they are.

    Attributes
    ----------
    n_sources, n_objects : int
        Rows of the two tables.
    source, object : ndarray of int, shape (n,)
        A row of each.
    distance2 : ndarray of float64, shape (n,)
        Square of the distance, in standard errors: chi-squared with two degrees of
        freedom for a right pair.
    """

    n_sources: int
    n_objects: int
    source: NDArray[np.intp]
    object: NDArray[np.intp]
    distance2: NDArray[np.float64]


def candidates(
    sources: DiaSources, objects: DiaObjects, *, radius_arcsec: float, max_sigma: float
) -> Pairs:
    """Return the pairs within a radius and a number of standard errors."""
    source, other = neighbours(
        sources["ra"],
        sources["dec"],
        objects.ra,
        objects.dec,
        radius_arcsec=radius_arcsec,
    )
    rows, known = SourceRows.of_table(sources).take(source), objects.take(other)
    total = [
        a + b
        for a, b in zip(position_covariance(rows), known.covariance(), strict=True)
    ]
    offset = offsets_arcsec(known.ra, known.dec, rows.ra, rows.dec)
    scaled = product(inverse((total[0], total[1], total[2])), *offset)
    distance2 = offset[0] * scaled[0] + offset[1] * scaled[1]
    inside = distance2 <= max_sigma**2
    return Pairs(
        n_sources=len(sources),
        n_objects=len(objects),
        source=source[inside],
        object=other[inside],
        distance2=distance2[inside],
    )
