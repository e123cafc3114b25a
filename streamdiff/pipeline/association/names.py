"""The ids of new DiaObjects."""

import numpy as np

from streamdiff.imaging.sky_pixels import finest_pixels
from streamdiff.model.rows import Floats
from streamdiff.ports import CatalogueSession
from streamdiff.ports.catalogue import Ids


def new_ids(session: CatalogueSession, ra: Floats, dec: Floats) -> Ids:
    """Return ids of new DiaObjects at positions [deg]; they fit into 63 bits.

    They are made of the position alone, so that the same DiaSource begins the same
    DiaObject whenever its visit is processed, and by whom. The few that lie within
    0.4 mas of each other take the next number that is free.
    """
    ids = 1 + finest_pixels(ra, dec)
    while True:
        first = np.zeros(len(ids), bool)
        first[np.unique(ids, return_index=True)[1]] = True
        again = ~first | np.isin(ids, session.taken(ids))
        if not again.any():
            return ids
        ids = ids + again
