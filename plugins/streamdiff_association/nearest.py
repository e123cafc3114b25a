"""One-to-one association by position, in units of the errors of the positions."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Gt, Le
from numpy.typing import NDArray

from streamdiff.model import NO_OBJECT, DiaObjects, DiaSources
from streamdiff.stages import NEW_OBJECT
from streamdiff_association.assign import assign
from streamdiff_association.candidates import candidates


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearest:
    """Gives each DiaSource the DiaObject that it is most likely another look at.

    Pairs within the radius whose distance is not too many standard errors compete;
    of all ways to give each DiaObject at most one DiaSource of the exposure, that
    with the smallest sum of squared distances is taken, where a DiaSource without
    DiaObject counts as one at the limit. What is left begins new DiaObjects.
    The sign of the flux does not matter: what fades below the template is the same
    star. Nor does the order of the rows.

    Attributes
    ----------
    radius_arcsec : float
        Largest distance of a DiaSource from its DiaObject. The default is LSST's.
    max_sigma : float
        The same in standard errors of the difference of the two positions. They
        have a floor of 0.05 arcsec each, and are 0.2 arcsec where not known.
    new_from_dipoles : bool
        Whether dipoles, mostly left of stars that are out of place by a part of a
        pixel, may begin a DiaObject; they join known ones in any case.
    """

    radius_arcsec: Annotated[float, Gt(0), Le(20)] = 1.0
    max_sigma: Annotated[float, Gt(0)] = 10.0
    new_from_dipoles: bool = True

    def associate(self, sources: DiaSources, objects: DiaObjects) -> NDArray[np.int64]:
        """Return a diaObjectId per DiaSource; shape (len(sources),)."""
        by_id = np.argsort(sources["diaSourceId"])
        pairs = candidates(
            sources.take(by_id),
            objects.take(np.argsort(objects.dia_object_id)),
            radius_arcsec=self.radius_arcsec,
            max_sigma=self.max_sigma,
        )
        rows, chosen = assign(pairs, limit=self.max_sigma**2)
        ids = np.full(len(sources), NEW_OBJECT, np.int64)
        if not self.new_from_dipoles and "isDipole" in sources:
            ids[sources["isDipole"].astype(bool)] = NO_OBJECT
        ids[by_id[rows]] = np.sort(objects.dia_object_id)[chosen]
        return ids
