"""The nearest DiaObject within a radius: a beginning."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Gt, Le
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from streamdiff.hookspecs import hookimpl
from streamdiff.model import DiaObjects, DiaSources
from streamdiff.stages import NEW_OBJECT, Associator


@dataclass(frozen=True, slots=True, kw_only=True)
class Mine:
    """Takes the nearest DiaObject, whatever else is near.

    Attributes
    ----------
    radius_arcsec : float
        Largest distance of a DiaSource from its DiaObject.
    """

    radius_arcsec: Annotated[float, Gt(0), Le(20)] = 1.0

    def associate(self, sources: DiaSources, objects: DiaObjects) -> NDArray[np.int64]:
        """Return a diaObjectId per DiaSource, `NEW_OBJECT` where none is near."""
        ids = np.full(len(sources), NEW_OBJECT, np.int64)
        if not len(sources) or not len(objects.ra):
            return ids
        there = cKDTree(_directions(objects.ra, objects.dec))
        chord = 2 * np.sin(np.radians(self.radius_arcsec / 3600) / 2)
        away, nearest = there.query(_directions(sources["ra"], sources["dec"]))
        known = away <= chord
        ids[known] = objects.dia_object_id[nearest[known]]
        return ids


def _directions(
    ra: NDArray[np.float64], dec: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return unit vectors, shape (n, 3)."""
    alpha, delta = np.radians(ra), np.radians(dec)
    return np.transpose(
        [np.cos(delta) * np.cos(alpha), np.cos(delta) * np.sin(alpha), np.sin(delta)]
    )


@hookimpl
def streamdiff_associators() -> Mapping[str, Callable[..., Associator]]:
    """Offer ``mine``."""
    return {"mine": Mine}
