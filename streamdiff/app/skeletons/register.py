"""The shift that all stars have in common: a beginning."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Gt
from scipy.spatial import cKDTree

from streamdiff.hookspecs import hookimpl
from streamdiff.imaging.stars import find_stars
from streamdiff.model import Exposure
from streamdiff.stages import Registrar, Registration

_MIN_STARS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Mine:
    """Corrects the WCS by the median offset of the stars of two images.

    Attributes
    ----------
    max_offset : float
        A star that is farther away is another one [pixel].
    """

    max_offset: Annotated[float, Gt(0)] = 2.0

    def register(self, science: Exposure, template: Exposure) -> Registration:
        """Return the registration of a template already on the science grid."""
        ours, theirs = (
            find_stars(exposure, threshold=20.0) for exposure in (science, template)
        )
        if min(len(ours), len(theirs)) < _MIN_STARS:
            return Registration(wcs=science.wcs, metrics={"n_registration_stars": 0.0})
        there = np.transpose([theirs.x, theirs.y])
        here = np.transpose([ours.x, ours.y])
        away, index = cKDTree(there).query(here)
        near = away < self.max_offset
        if np.count_nonzero(near) < _MIN_STARS:
            return Registration(wcs=science.wcs, metrics={"n_registration_stars": 0.0})
        dx, dy = np.median(there[index[near]] - here[near], axis=0).tolist()
        wcs = science.wcs.deepcopy()
        wcs.wcs.crpix = wcs.wcs.crpix - (dx, dy)
        wcs.wcs.set()
        metrics = {"offset_x_pixel": dx, "offset_y_pixel": dy}
        metrics["n_registration_stars"] = float(np.count_nonzero(near))
        return Registration(wcs=wcs, metrics=metrics)


@hookimpl
def streamdiff_registrars() -> Mapping[str, Callable[..., Registrar]]:
    """Offer ``mine``."""
    return {"mine": Mine}
