"""How one image is made to match another, and what users may say about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from streamdiff.model import KernelCandidates, MatchingKernel
from streamdiff_al.candidates import CandidateRules
from streamdiff_al.regularise import Regularisation
from streamdiff_al.reject import RejectionRules, Residual

# Candidates choose the order of the kernel up to this one.
_LARGEST_ORDER = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchRules:
    """How the matching kernel is found.

    Attributes
    ----------
    kernel_order : int, optional
        Largest order of the variation over the image; without it, the one that
        candidates ask for.
    background_order : int
        Largest order of the background's.
    candidates : CandidateRules
    rejection : RejectionRules
    regularisation : Regularisation, optional
        Keeps kernels smooth whose basis does not.
    n_components : int
        The kernel varies along so many principal components of the candidates' own
        kernels; 0: along all basis kernels.
    constant_sum : bool
        Whether the sum of a kernel along all basis kernels is the same everywhere.
    constant_weights : bool
        Whether all pixels of a candidate have the same weight.
    uncertainty : bool
        Whether to find out how well the kernel is known.
    keep_cutouts : bool
        Whether to keep the pixels of the candidates.
    max_condition, max_candidate_condition : float
        Larger condition numbers, of the last fit and of the usual candidate's own,
        are reported as ill.
    """

    kernel_order: int | None = None
    background_order: int = 2
    candidates: CandidateRules = field(default_factory=CandidateRules)
    rejection: RejectionRules = field(default_factory=RejectionRules)
    regularisation: Regularisation | None = None
    n_components: int = 0
    constant_sum: bool = True
    constant_weights: bool = False
    uncertainty: bool = False
    keep_cutouts: bool = False
    max_condition: float = 1e10
    max_candidate_condition: float = 5e7

    @property
    def largest_order(self) -> int:
        """Return the largest order of the kernel's variation."""
        return _LARGEST_ORDER if self.kernel_order is None else self.kernel_order


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Match:
    """How one image is made to match the other.

    Attributes
    ----------
    kernel : MatchingKernel
    background : ndarray of float64, shape (n,)
        Coefficients of the terms of `streamdiff.model.field.field_terms`: target
        minus convolved image. They are numbers of single precision.
    condition : float
        Condition number of the last fit.
    residuals : tuple of Residual
        Of the candidates used in it.
    n_rejected : int
    candidates : KernelCandidates or None
        All that were tried; `None` where nothing was fitted.
    diagnostics : mapping of str to float
        See `streamdiff_al.diagnostics`; nothing where nothing was fitted.
    """

    kernel: MatchingKernel
    background: NDArray[np.float64]
    condition: float
    residuals: tuple[Residual, ...]
    n_rejected: int
    candidates: KernelCandidates | None = None
    diagnostics: Mapping[str, float] = field(default_factory=dict)
