"""Figures that tell whether candidates determine what is fitted to them."""

from collections.abc import Sequence

import numpy as np

from streamdiff.model.field import n_field_terms
from streamdiff_al.fit import SpatialModel

# Fewer candidates per term than this leave the variation to the noise.
_PER_TERM = 2
# More rejected per accepted candidate than this: is it the rest that is odd?
_MOST_REJECTED = 2


def fit_diagnostics(
    model: SpatialModel,
    wanted_orders: tuple[int, int],
    conditions: Sequence[float],
    n_rejected: int,
) -> dict[str, float]:
    """Return figures of a fit; those that are questions are 1 for yes, 0 for no.

    Parameters
    ----------
    model : SpatialModel
        What was fitted, of orders that may be lower than those asked for.
    wanted_orders : tuple of int
        Those asked for, of the kernel and the background.
    conditions : sequence of float
        Condition numbers of the fits to single candidates.
    n_rejected : int
    """
    n_good = len(conditions)
    return {
        "candidate_condition_number": float(np.median(conditions)),
        "kernel_mostly_rejected": float(n_rejected > _MOST_REJECTED * n_good),
        "n_kernel_basis": float(model.n_basis),
        **_constraint("kernel", n_good, model.kernel_order, wanted_orders[0]),
        **_constraint("background", n_good, model.background_order, wanted_orders[1]),
    }


def _constraint(what: str, n_good: int, order: int, wanted: int) -> dict[str, float]:
    n_wanted = n_field_terms(wanted)
    return {
        f"n_{what}_terms": float(n_field_terms(order)),
        f"{what}_underconstrained": float(n_good < n_wanted),
        f"{what}_poorly_constrained": float(n_good <= _PER_TERM * n_wanted),
    }
