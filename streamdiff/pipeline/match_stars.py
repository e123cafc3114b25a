"""DiaSources beside known stars: candidates for what a subtraction left of these."""

from dataclasses import dataclass

import numpy as np
from astropy.wcs.utils import proj_plane_pixel_area
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from streamdiff.imaging.stars import find_stars
from streamdiff.model import Column, DiaSources, Exposure

REF_MATCH = Column(
    "refMatchId", "i4", "", "Row of the star in the catalogue, by flux; 0: none"
)
SRC_MATCH = Column(
    "srcMatchId", "i4", "", "Row of the star of the science image, by flux; 0: none"
)
# Of the stars of the science image [sigma].
_THRESHOLD = 5.0
_ARCSEC_PER_DEGREE = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StarMatching:
    """Matches DiaSources to the catalogue of an exposure, and to its own stars.

    Attributes
    ----------
    radius_arcsec : float
        Farthest that a DiaSource is from its star; 0 for no matching.
    own_stars : bool
        Whether stars are sought on the science image.
    """

    radius_arcsec: float = 0.5
    own_stars: bool = False

    def __call__(
        self, sources: DiaSources, science: Exposure
    ) -> tuple[DiaSources, dict[str, float]]:
        """Return the DiaSources with the numbers of their stars, and the counts.

        Notes
        -----
        ``n_false_positives_{total,ref_associated,src_associated,unassociated}``
        count all DiaSources, those beside a star of the catalogue, of the image, and
        of neither: LSST's names, as if nothing had changed. They are left out where
        there are no stars to match.
        """
        stars = {}
        if self.radius_arcsec > 0 and science.stars is not None:
            stars[REF_MATCH] = science.stars.x, science.stars.y
        if self.radius_arcsec > 0 and self.own_stars:
            own = find_stars(science, threshold=_THRESHOLD)
            stars[SRC_MATCH] = own.x, own.y
        if not stars:
            return sources, {}
        scale = np.sqrt(proj_plane_pixel_area(science.wcs)) * _ARCSEC_PER_DEGREE
        matches = {
            column.name: nearest_within(
                sources["x"], sources["y"], *places, self.radius_arcsec / scale
            )
            for column, places in stars.items()
        }
        return sources.with_columns(stars, matches), _counts(len(sources), matches)


def nearest_within(
    x: ArrayLike,
    y: ArrayLike,
    others_x: ArrayLike,
    others_y: ArrayLike,
    radius: float,
) -> NDArray[np.int64]:
    """Return the number, from 1, of the nearest other position, 0 for none near."""
    places, others = np.column_stack([x, y]), np.column_stack([others_x, others_y])
    if not (len(places) and len(others)):
        return np.zeros(len(places), np.int64)
    distance, index = cKDTree(others).query(places)
    return np.where(distance <= radius, index + 1, 0)


def _counts(n: int, matches: dict[str, NDArray[np.int64]]) -> dict[str, float]:
    associated = np.zeros(n, bool)
    counts = {"n_false_positives_total": float(n)}
    for column, kind in ((REF_MATCH, "ref"), (SRC_MATCH, "src")):
        if column.name in matches:
            matched = matches[column.name] > 0
            counts[f"n_false_positives_{kind}_associated"] = float(matched.sum())
            associated |= matched
    counts["n_false_positives_unassociated"] = float(n - associated.sum())
    return counts
