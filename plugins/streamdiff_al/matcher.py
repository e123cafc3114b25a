"""Find the matching kernel: fit, reject what does not fit, fit again."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from streamdiff.model import CandidateStatus, MatchingKernel
from streamdiff.model.field import n_field_terms
from streamdiff_al.candidates import Candidate
from streamdiff_al.cutout import difference_variances
from streamdiff_al.cutter import Cutter
from streamdiff_al.diagnostics import (
    fit_diagnostics,
    residual_figures,
    uncertainty_figures,
)
from streamdiff_al.fit import FEW_ROWS, SpatialModel, Sums, constant_model, level
from streamdiff_al.joint import JointBasis, JointFit
from streamdiff_al.match import Match, MatchRules
from streamdiff_al.pca import principal_mixes
from streamdiff_al.reject import Residual, keep_matched
from streamdiff_al.roster import Roster
from streamdiff_al.single import SingleFitter
from streamdiff_al.spatial_order import choose_order

# Fewer candidates than this per spatial term, and the order is lowered: of an order
# that was asked for, and of one that candidates choose. The fit runs wild beyond the
# outermost of few.
_PER_TERM, _PER_TERM_CHOSEN = 2, 12
# With as many basis kernels as a basis of free pixels has, candidates do not choose the
# order of the kernel: they could not tell so many parameters.
_MANY_KERNELS, _ORDER_OF_MANY = 100, 1
# Candidates that cover so little of an axis, in standard deviations from -1 to 1
# (all over it: 0.58), tell nothing of how the kernel varies up to the border.
_MIN_SPREAD = 0.35


class Matcher:
    """One fit in work.

    Parameters
    ----------
    cutter : Cutter
    candidates : sequence of Candidate
        The best first.
    rules : MatchRules
    expected : ndarray of float64, shape (n_basis,), optional
        Coefficients of the kernel that is expected, but for a factor.
    """

    def __init__(
        self,
        cutter: Cutter,
        candidates: Sequence[Candidate],
        rules: MatchRules,
        expected: NDArray[np.float64] | None = None,
    ) -> None:
        self._cutter = cutter
        self._rules = rules
        self._order = rules.largest_order
        self._kernel: MatchingKernel | None = None
        self._variances: dict[int, NDArray[np.float64]] = {}
        self._sums: dict[tuple[int, SpatialModel], Sums] = {}
        self._fitter = SingleFitter(
            cutter.basis,
            rules.regularisation,
            expected=expected,
            constant_weights=rules.constant_weights,
        )
        self._roster = Roster(
            cutter,
            candidates,
            self._fitter,
            rules=rules.candidates,
            rejection=rules.rejection,
        )

    def match(self) -> Match:
        """Return the match of the two images.

        Raises
        ------
        TooFewCandidatesError
            If fewer candidates are left than the rules ask for.
        NoVariationError
            If all of them have the same kernel, without components.
        """
        everything_fits = False
        for _ in range(self._rules.rejection.passes + 1):
            used = self._roster.choose()
            if self._rules.kernel_order is None and self._kernel is None:
                self._order = self._asked_for(used)
            joint = self._fit(used)
            residuals = self._judge(joint, used)
            kept = keep_matched(residuals, self._rules.rejection)
            # The first fit does not know how the noise is convolved.
            everything_fits = bool(kept.all()) and self._kernel is not None
            if everything_fits:
                break
            self._roster.reject(used, kept, CandidateStatus.POOR_FIT)
            self._learn(joint.kernel)
        if not everything_fits:
            used = self._roster.choose(promote=False)
            joint = self._fit(used)
            residuals = self._judge(joint, used)
        return self._report(joint, used, residuals)

    def _learn(self, kernel: MatchingKernel) -> None:
        """Take the noise to be convolved with a kernel from now on.

        That of the first fit will do: what the next ones change of it is little, and
        with it would change the sums over all pixels.
        """
        if self._kernel is None:
            self._kernel, self._variances, self._sums = kernel, {}, {}

    def _asked_for(self, numbers: Sequence[int]) -> int:
        """Return the order of the variation that candidates ask for."""
        basis = self._basis
        if self._rules.n_components:
            basis = basis.mixed(self._principal(numbers))
        if len(basis.kernels) > _MANY_KERNELS:
            return _ORDER_OF_MANY
        order = self._affordable(self._order, numbers, _PER_TERM_CHOSEN)
        cutouts = [self._roster.cutout(number) for number in numbers]
        terms = np.array([c.centre_terms[: n_field_terms(order)] for c in cutouts])
        return choose_order(self._own_sums(numbers, basis), terms)

    def _own_sums(self, numbers: Sequence[int], basis: JointBasis) -> list[Sums]:
        """Return what candidates add to fits without variation."""
        known = [self._roster.single(number).sums for number in numbers]
        if basis.mixes is None and all(known):
            return [own for own in known if own]
        cutouts = [basis.of(self._roster.cutout(number)) for number in numbers]
        model = constant_model(len(basis.kernels), cutouts[0].usable.shape)
        parts = zip(cutouts, self._weighing(numbers), strict=True)
        return [model.sums(*part) for part in parts]

    def _fit(self, numbers: Sequence[int]) -> JointFit:
        """Return the joint fit to candidates."""
        basis, n_components = self._basis, self._rules.n_components
        if n_components:
            basis = basis.mixed(self._principal(numbers))
        model = self._model(numbers, len(basis.kernels))
        variances = self._weighing(numbers)
        sums = [
            self._sums_of(number, variance, model, basis)
            for number, variance in zip(numbers, variances, strict=True)
        ]
        return JointFit.of(
            model,
            basis,
            model.summed(sums, basis.overlaps),
            penalty=None if n_components else self._penalty(model, numbers),
        )

    def _sums_of(
        self,
        number: int,
        variance: NDArray[np.float64],
        model: SpatialModel,
        basis: JointBasis,
    ) -> Sums:
        """Return what a candidate adds to the fit, once for all fits that are alike."""
        key = number, model
        if basis.mixes is None and key in self._sums:
            return self._sums[key]
        sums = model.sums(basis.of(self._roster.cutout(number)), variance)
        if basis.mixes is None and len(sums.matrix) <= FEW_ROWS:
            self._sums[key] = sums
        return sums

    def _judge(self, joint: JointFit, numbers: Sequence[int]) -> list[Residual]:
        """Return how a fit matches candidates."""
        return [
            self._roster.judge(
                number, joint.left_of(self._roster.cutout(number)), variance
            )
            for number, variance in zip(numbers, self._noise(numbers), strict=True)
        ]

    def _report(
        self, joint: JointFit, numbers: Sequence[int], residuals: Sequence[Residual]
    ) -> Match:
        """Return the match by the last fit, to candidates of these numbers."""
        roster, rules, found = self._roster, self._rules, joint.kernel
        self._judge(joint, roster.examine_control())
        if rules.uncertainty:
            found = joint.kernel_with_covariance(
                [roster.cutout(number) for number in numbers],
                self._weighing(numbers),
                list(self._kernels_at(found, numbers)),
            )
        candidates = roster.table(with_cutouts=rules.keep_cutouts)
        return Match(
            kernel=found,
            background=joint.background,
            condition=joint.condition,
            residuals=tuple(residuals),
            n_rejected=roster.n_rejected,
            candidates=candidates,
            diagnostics={
                **self._diagnostics(joint, numbers),
                **residual_figures(candidates),
                **uncertainty_figures(found),
            },
        )

    def _weighing(self, numbers: Sequence[int]) -> list[NDArray[np.float64]]:
        """Return the variances whose inverses weigh the pixels of candidates."""
        variances = self._noise(numbers)
        if not self._rules.constant_weights:
            return variances
        return [
            level(variance, self._roster.cutout(number).usable)
            for number, variance in zip(numbers, variances, strict=True)
        ]

    def _noise(self, numbers: Sequence[int]) -> list[NDArray[np.float64]]:
        """Return the variances of the difference around candidates; (m, m) each."""
        new = [number for number in numbers if number not in self._variances]
        if new:
            kernels = self._kernels_at(self._kernel, new) if self._kernel else None
            cutouts = [self._roster.cutout(number) for number in new]
            variances = difference_variances(cutouts, kernels)
            self._variances.update(zip(new, variances, strict=True))
        return [self._variances[number] for number in numbers]

    def _kernels_at(
        self, kernel: MatchingKernel, numbers: Sequence[int]
    ) -> NDArray[np.float64]:
        """Return the kernel at each candidate; shape (n, size, size)."""
        candidates = [self._roster.candidate(number) for number in numbers]
        weights = kernel.weights([c.x for c in candidates], [c.y for c in candidates])
        kernels: NDArray[np.float64] = np.tensordot(weights.T, kernel.basis, 1)
        return kernels

    @property
    def _basis(self) -> JointBasis:
        return JointBasis(
            kernels=self._cutter.basis,
            overlaps=self._fitter.overlaps,
            expected=self._fitter.expected,
        )

    def _principal(self, numbers: Sequence[int]) -> NDArray[np.float64]:
        """Return the mean kernel of candidates, and their principal components."""
        singles = [self._roster.single(number) for number in numbers]
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
            terms = self._roster.cutout(number).centre_terms[:n_terms]
            power += self._roster.single(number).strength * np.outer(terms, terms)
        return model.expand(self._fitter.roughness, power)

    def _diagnostics(
        self, joint: JointFit, numbers: Sequence[int]
    ) -> Mapping[str, float]:
        rules = self._rules
        return fit_diagnostics(
            joint.model,
            (self._order, rules.background_order),
            [self._roster.single(number).condition for number in numbers],
            self._roster.n_rejected,
            condition=joint.condition,
            limits=(rules.max_candidate_condition, rules.max_condition),
        )

    def _model(self, numbers: Sequence[int], n_basis: int) -> SpatialModel:
        rules = self._rules
        return SpatialModel(
            n_basis=n_basis,
            kernel_order=self._affordable(self._order, numbers),
            background_order=self._affordable(rules.background_order, numbers),
            image_shape=self._cutter.target.image.shape,
            constant_sum=rules.constant_sum or bool(rules.n_components),
        )

    def _affordable(
        self, order: int, numbers: Sequence[int], per_term: int = _PER_TERM
    ) -> int:
        """Return the largest order up to ``order`` that candidates determine."""
        height, width = self._cutter.target.image.shape
        used = [self._roster.candidate(number) for number in numbers]
        positions = np.array([(c.x / width, c.y / height) for c in used])
        if (2 * positions.std(axis=0)).min() < _MIN_SPREAD:
            return 0
        while order > 0 and len(numbers) < per_term * n_field_terms(order):
            order -= 1
        return order
