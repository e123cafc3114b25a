"""Find the matching kernel: fit, reject what does not fit, fit again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from streamdiff.model import MatchingKernel
from streamdiff.model.field import n_field_terms
from streamdiff_al.candidates import Candidate, CandidateRules, choose_active
from streamdiff_al.cutout import Cutout, Cutter
from streamdiff_al.diagnostics import fit_diagnostics
from streamdiff_al.fit import SpatialModel
from streamdiff_al.pca import principal_mixes
from streamdiff_al.regularise import Regularisation
from streamdiff_al.reject import (
    RejectionRules,
    Residual,
    keep_matched,
    keep_usual_sums,
)
from streamdiff_al.single import Single, SingleFitter

# Fewer candidates than this per spatial term, and the order is lowered.
_PER_TERM = 2
# Candidates that cover so little of an axis, in standard deviations from -1 to 1
# (all over it: 0.58), tell nothing of how the kernel varies up to the border.
_MIN_SPREAD = 0.35


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchRules:
    """How the matching kernel is found.

    Attributes
    ----------
    kernel_order, background_order : int
        Largest orders of the variation over the image.
    candidates : CandidateRules
    rejection : RejectionRules
    regularisation : Regularisation, optional
        Keeps kernels smooth whose basis does not.
    n_components : int
        The kernel varies along so many principal components of the candidates' own
        kernels; 0: along all basis kernels.
    constant_sum : bool
        Whether the sum of a kernel along all basis kernels is the same everywhere.
    """

    kernel_order: int = 1
    background_order: int = 2
    candidates: CandidateRules = field(default_factory=CandidateRules)
    rejection: RejectionRules = field(default_factory=RejectionRules)
    regularisation: Regularisation | None = None
    n_components: int = 0
    constant_sum: bool = True


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Match:
    """How one image is made to match the other.

    Attributes
    ----------
    kernel : MatchingKernel
    background : ndarray of float64, shape (n,)
        Coefficients of the terms of `streamdiff.model.field.field_terms`: target
        minus convolved image.
    condition : float
        Condition number of the last fit.
    residuals : tuple of Residual
        Of the candidates used in it.
    n_rejected : int
    diagnostics : mapping of str to float
        See `streamdiff_al.diagnostics`; nothing where nothing was fitted.
    """

    kernel: MatchingKernel
    background: NDArray[np.float64]
    condition: float
    residuals: tuple[Residual, ...]
    n_rejected: int
    diagnostics: Mapping[str, float] = field(default_factory=dict)


class TooFewCandidatesError(Exception):
    """So few candidates are good that no kernel can be trusted."""


class Matcher:
    """One fit in work: what was rejected so far, and what is known of the others.

    Parameters
    ----------
    cutter : Cutter
    candidates : sequence of Candidate
        The best first.
    rules : MatchRules
    """

    def __init__(
        self, cutter: Cutter, candidates: Sequence[Candidate], rules: MatchRules
    ) -> None:
        self._cutter = cutter
        self._candidates = candidates
        self._rules = rules
        self._rejected: set[int] = set()
        self._cutouts: dict[int, Cutout] = {}
        self._singles: dict[int, Single] = {}
        self._fitter = SingleFitter(cutter.basis, rules.regularisation)

    def match(self) -> Match:
        """Return the match of the two images.

        Raises
        ------
        TooFewCandidatesError
            If fewer candidates are left than the rules ask for.
        NoVariationError
            If all of them have the same kernel, without components.
        """
        kernel = None
        for _ in range(self._rules.rejection.passes + 1):
            active = self._choose()
            match = self._fit(active, kernel)
            # The first fit did not know how the noise is convolved.
            is_first, kernel = kernel is None, match.kernel
            kept = keep_matched(list(match.residuals), self._rules.rejection)
            if kept.all() and not is_first:
                break
            self._reject(active, kept)
        return self._fit(self._choose(promote=False), kernel)

    def _choose(self, *, promote: bool = True) -> list[int]:
        """Return the candidates of the next fit, each good on its own."""
        while True:
            active = self._active() if promote else self._known()
            for number in active:
                self._examine(number)
            active = [number for number in active if number not in self._rejected]
            sums = [self._singles[number].sum for number in active]
            usual = keep_usual_sums(sums, self._rules.rejection.kernel_sum_clip)
            self._reject(active, usual)
            if len(active) < self._rules.candidates.least:
                raise TooFewCandidatesError(
                    f"{len(active)} kernel candidates of {len(self._candidates)}, "
                    f"needs {self._rules.candidates.least}"
                )
            if usual.all():
                return active

    def _active(self) -> list[int]:
        per_cell = self._rules.candidates.per_cell
        return choose_active(self._candidates, self._rejected, per_cell)

    def _known(self) -> list[int]:
        return sorted(set(self._singles) - self._rejected)

    def _reject(self, numbers: Sequence[int], kept: NDArray[np.bool_]) -> None:
        for number, good in zip(numbers, kept, strict=True):
            if not good:
                self._rejected.add(number)
                self._cutouts.pop(number, None)

    def _examine(self, number: int) -> None:
        """Fit a candidate on its own, if that has not been done."""
        if number in self._singles:
            return
        candidate = self._candidates[number]
        cutout = self._cutter.cut(candidate.x, candidate.y)
        if not cutout.is_complete:
            self._rejected.add(number)
            return
        self._singles[number] = self._fitter.fit(cutout)
        self._cutouts[number] = cutout

    def _fit(self, numbers: Sequence[int], kernel: MatchingKernel | None) -> Match:
        """Return the joint fit; the kernel of an earlier one tells the noise."""
        basis, overlaps = self._cutter.basis, self._fitter.overlaps
        cutouts = [self._cutouts[number] for number in numbers]
        if self._rules.n_components:
            mixes = self._principal(numbers)
            basis = np.tensordot(mixes, basis, 1)
            overlaps = mixes @ overlaps @ mixes.T
            cutouts = [cutout.mixed(mixes) for cutout in cutouts]
        model = self._model(numbers, len(basis))
        variances = [
            cutout.variance(None if kernel is None else self._kernel_at(kernel, number))
            for number, cutout in zip(numbers, cutouts, strict=True)
        ]
        equations = model.equations(cutouts, variances, overlaps)
        if not self._rules.n_components:
            equations = equations.penalised(self._penalty(model, numbers))
        parameters, condition = equations.solve()
        residuals = [
            Residual.of(c.target - model.predict(parameters, c), variance, c.usable)
            for c, variance in zip(cutouts, variances, strict=True)
        ]
        return Match(
            kernel=model.kernel(parameters, basis),
            background=model.background(parameters),
            condition=condition,
            residuals=tuple(residuals),
            n_rejected=len(self._rejected),
            diagnostics=self._diagnostics(model, numbers),
        )

    def _principal(self, numbers: Sequence[int]) -> NDArray[np.float64]:
        """Return the mean kernel of candidates, and their principal components."""
        singles = [self._singles[number] for number in numbers]
        return principal_mixes(
            np.array([single.kernel for single in singles]),
            np.array([single.weight for single in singles]),
            self._cutter.basis,
            self._rules.n_components,
        )

    def _penalty(
        self, model: SpatialModel, numbers: Sequence[int]
    ) -> NDArray[np.float64]:
        """Return the sum of the candidates' own penalties, for the kernel at each."""
        n_terms = n_field_terms(model.kernel_order)
        power = np.zeros((n_terms, n_terms))
        for number in numbers:
            terms = self._cutouts[number].centre_terms[:n_terms]
            power += self._singles[number].strength * np.outer(terms, terms)
        return model.expand(self._fitter.roughness, power)

    def _diagnostics(
        self, model: SpatialModel, numbers: Sequence[int]
    ) -> dict[str, float]:
        return fit_diagnostics(
            model,
            (self._rules.kernel_order, self._rules.background_order),
            [self._singles[number].condition for number in numbers],
            len(self._rejected),
        )

    def _kernel_at(self, kernel: MatchingKernel, number: int) -> NDArray[np.float64]:
        candidate = self._candidates[number]
        return kernel.at(candidate.x, candidate.y)

    def _model(self, numbers: Sequence[int], n_basis: int) -> SpatialModel:
        rules, shape = self._rules, self._cutter.target.image.shape
        used = [self._candidates[number] for number in numbers]
        return SpatialModel(
            n_basis=n_basis,
            kernel_order=_affordable(rules.kernel_order, used, shape),
            background_order=_affordable(rules.background_order, used, shape),
            image_shape=shape,
            constant_sum=rules.constant_sum or bool(rules.n_components),
        )


def _affordable(
    order: int, candidates: Sequence[Candidate], shape: tuple[int, ...]
) -> int:
    """Return the largest order up to ``order`` that the candidates determine."""
    height, width = shape
    positions = np.array([(c.x / width, c.y / height) for c in candidates])
    if (2 * positions.std(axis=0)).min() < _MIN_SPREAD:
        return 0
    while order > 0 and len(candidates) < _PER_TERM * n_field_terms(order):
        order -= 1
    return order
