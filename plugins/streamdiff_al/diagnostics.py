"""Figures that tell how well candidates determine what is fitted to them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamdiff.model import CandidateStatus, KernelCandidates, MatchingKernel
from streamdiff.model.field import n_field_terms
from streamdiff_al.basis import BasisRules
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
    *,
    condition: float,
    limits: tuple[float, float],
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
    condition : float
        Condition number of the fit to all.
    limits : tuple of float
        Condition numbers above which a single fit, and that to all, are called ill.
    """
    n_good = len(conditions)
    usual = float(np.median(conditions))
    return {
        "candidate_condition_number": usual,
        "candidates_ill_conditioned": float(usual > limits[0]),
        "kernel_ill_conditioned": float(condition > limits[1]),
        "kernel_mostly_rejected": float(n_rejected > _MOST_REJECTED * n_good),
        "n_kernel_basis": float(model.n_basis),
        **_constraint("kernel", n_good, model.kernel_order, wanted_orders[0]),
        **_constraint("background", n_good, model.background_order, wanted_orders[1]),
    }


def basis_figures(
    size: int, sigmas: tuple[float, ...], rules: BasisRules, *, is_wider: bool
) -> dict[str, float]:
    """Return what a matching kernel is made of, as numbers.

    Parameters
    ----------
    size : int
        Side of the kernel [pixel].
    sigmas : tuple of float
        Widths of its Gaussians [pixel]; none for free pixels.
    rules : BasisRules
    is_wider : bool
        Whether the PSF that is convolved is wider than that to be matched.

    Notes
    -----
    ``basis_scaled`` says whether the widths of the Gaussians follow from those of the
    PSFs, ``basis_deconvolves`` whether the kernel has to sharpen.
    """
    figures = {
        "kernel_size": float(size),
        "n_gaussians": float(len(sigmas)),
        "basis_scaled": float(bool(sigmas) and sigmas != rules.sigmas),
        "basis_deconvolves": float(is_wider),
    }
    for number, (sigma, degree) in enumerate(
        zip(sigmas, rules.degrees, strict=False), start=1
    ):
        figures[f"gaussian_{number}_sigma"] = sigma
        figures[f"gaussian_{number}_degree"] = float(degree)
    return figures


def residual_figures(candidates: KernelCandidates) -> dict[str, float]:
    """Return mean, median and scatter of what is left of candidates.

    They are those of the root mean square [sigma per pixel] that is left of each
    candidate by its own kernel (local), and by the kernel of all (spatial); of
    candidates that were held back from the fit, too, if there are any (control).
    """
    used = candidates.having(CandidateStatus.USED)
    control = candidates.having(CandidateStatus.CONTROL)
    return {
        "n_kernel_control": float(control.sum()),
        **_spread("local", candidates.local_rms[used]),
        **_spread("spatial", candidates.spatial_rms[used]),
        **_spread("control", candidates.spatial_rms[control]),
    }


def uncertainty_figures(kernel: MatchingKernel) -> dict[str, float]:
    """Return how well a kernel is known at the centre of the image.

    Two relative errors: of its sum; and of the kernel as a whole, the root of the
    sum of the variances of its pixels over that of their squares. Nothing where its
    covariance is not known.
    """
    if kernel.covariance is None:
        return {}
    height, width = kernel.image_shape
    centre = (width - 1) / 2, (height - 1) / 2
    pixels, variance = kernel.at(*centre), kernel.variance_at(*centre)
    return {
        "kernel_sum_relative_error": float(
            np.sqrt(kernel.sum_variance_at(*centre)) / np.abs(pixels.sum())
        ),
        "kernel_relative_error": float(
            np.sqrt(variance.sum() / np.square(pixels).sum())
        ),
    }


def _constraint(what: str, n_good: int, order: int, wanted: int) -> dict[str, float]:
    n_wanted = n_field_terms(wanted)
    return {
        f"n_{what}_terms": float(n_field_terms(order)),
        f"{what}_underconstrained": float(n_good < n_wanted),
        f"{what}_poorly_constrained": float(n_good <= _PER_TERM * n_wanted),
    }


def _spread(what: str, values: NDArray[np.float64]) -> dict[str, float]:
    if not values.size:
        return {}
    return {
        f"kernel_{what}_rms_mean": float(values.mean()),
        f"kernel_{what}_rms_median": float(np.median(values)),
        f"kernel_{what}_rms_stdev": float(values.std()),
    }
