"""The best way to give each DiaObject at most one DiaSource."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from streamdiff_association.candidates import Pairs

Rows = NDArray[np.intp]


def assign(pairs: Pairs, *, limit: float) -> tuple[Rows, Rows]:
    """Return the rows of DiaSources and DiaObjects that belong together.

    Parameters
    ----------
    pairs : Pairs
        All that are possible; no distance is above the limit.
    limit : float
        Squared distance that a DiaSource without DiaObject counts as.

    Notes
    -----
    Groups that no pair connects do not know of each other. Most are one pair, which
    there is nothing to choose in; the others are solved together, by shortest
    augmenting paths in the sparse graph (Jonker & Volgenant 1987, Computing 38, 325),
    which never leave a group.
    """
    alone = _only_one(pairs.source) & _only_one(pairs.object)
    rows, chosen = _solved(pairs, np.flatnonzero(~alone), limit)
    return (
        np.concatenate([pairs.source[alone], rows]),
        np.concatenate([pairs.object[alone], chosen]),
    )


def _only_one(rows: Rows) -> NDArray[np.bool_]:
    if not rows.size:
        return np.zeros(0, bool)
    only: NDArray[np.bool_] = (np.bincount(rows) == 1)[rows]
    return only


def _solved(pairs: Pairs, chosen: Rows, limit: float) -> tuple[Rows, Rows]:
    """Return what belongs together in the pairs that compete."""
    sources, row = np.unique(pairs.source[chosen], return_inverse=True)
    objects, column = np.unique(pairs.object[chosen], return_inverse=True)
    n, every = len(objects), np.arange(len(sources))
    if not len(sources):
        return sources, objects
    # One more column per DiaSource stands for no DiaObject. A weight of 0 would be
    # no edge: 1 is added to all of them, which changes no order.
    weights = np.concatenate([pairs.distance2[chosen], np.full(len(sources), limit)])
    graph = coo_array(
        (1 + weights, (np.r_[row, every], np.r_[column, n + every])),
        shape=(len(sources), n + len(sources)),
    )
    matched, columns = min_weight_full_bipartite_matching(graph.tocsr())
    real = columns < n
    return sources[matched[real]], objects[columns[real]]
