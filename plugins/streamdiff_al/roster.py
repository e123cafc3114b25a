"""Which candidates are in the fit, and what is known of each."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from streamdiff.model import CandidateStatus, KernelCandidates
from streamdiff_al.candidates import (
    Candidate,
    CandidateRules,
    choose_active,
    choose_control,
)
from streamdiff_al.cutout import Cutout
from streamdiff_al.cutter import Cutter
from streamdiff_al.reject import (
    RejectionRules,
    Residual,
    keep_matched,
    keep_usual_sums,
)
from streamdiff_al.single import Single, SingleFitter


class TooFewCandidatesError(Exception):
    """So few candidates are good that no kernel can be trusted."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Record:
    """What is known of one candidate so far.

    ``left`` is what the last kernel that it was tried with leaves of the target.
    """

    status: CandidateStatus
    target: NDArray[np.float64]
    left: NDArray[np.float64]
    single: Single | None = None
    local: Residual = field(default_factory=Residual)
    spatial: Residual = field(default_factory=Residual)


class Roster:
    """The candidates of one fit in work.

    Parameters
    ----------
    cutter : Cutter
    candidates : sequence of Candidate
        The best first.
    fitter : SingleFitter
    rules : CandidateRules
    rejection : RejectionRules
    """

    def __init__(
        self,
        cutter: Cutter,
        candidates: Sequence[Candidate],
        fitter: SingleFitter,
        *,
        rules: CandidateRules,
        rejection: RejectionRules,
    ) -> None:
        self._cutter = cutter
        self._candidates = candidates
        self._fitter = fitter
        self._rules = rules
        self._rejection = rejection
        self._control = choose_control(candidates, rules)
        self._records: dict[int, _Record] = {}
        self._cutouts: dict[int, Cutout] = {}

    def choose(self, *, promote: bool = True) -> list[int]:
        """Return the numbers of the candidates of the next fit, each good on its own.

        Parameters
        ----------
        promote : bool
            Whether others replace those that were rejected.

        Raises
        ------
        TooFewCandidatesError
            If fewer are left than the rules ask for.
        """
        while True:
            if promote:
                self._examine(self._active(), CandidateStatus.USED)
            used = self.having(CandidateStatus.USED)
            if len(used) < self._rules.least:
                raise TooFewCandidatesError(
                    f"{len(used)} kernel candidates of {len(self._candidates)}, "
                    f"needs {self._rules.least}"
                )
            if not self._reject_odd(used):
                return used

    def examine_control(self) -> list[int]:
        """Return the numbers of the candidates that were held back from the fit."""
        self._examine(sorted(self._control), CandidateStatus.CONTROL)
        return self.having(CandidateStatus.CONTROL)

    def having(self, status: CandidateStatus) -> list[int]:
        """Return the numbers of the examined candidates of a status."""
        return sorted(n for n, r in self._records.items() if r.status is status)

    def reject(
        self, numbers: Sequence[int], kept: NDArray[np.bool_], status: CandidateStatus
    ) -> None:
        """Take candidates out of the fit.

        Parameters
        ----------
        numbers : sequence of int
        kept : ndarray of bool, shape (n,)
            Which of them are to stay.
        status : CandidateStatus
            What becomes of the others.
        """
        for number, good in zip(numbers, kept, strict=True):
            if not good:
                self._records[number].status = status
                self._cutouts.pop(number, None)

    def judge(
        self, number: int, left: NDArray[np.float64], variance: NDArray[np.float64]
    ) -> Residual:
        """Return, and note, how the kernel of all candidates fits one of them."""
        record = self._records[number]
        record.left, record.spatial = left, self._residual(number, left, variance)
        return record.spatial

    def single(self, number: int) -> Single:
        """Return the own fit of a candidate."""
        single = self._records[number].single
        if single is None:
            raise KeyError(number)
        return single

    def cutout(self, number: int) -> Cutout:
        """Return the pixels of a candidate that is used, or of the control sample."""
        return self._cutouts[number]

    def candidate(self, number: int) -> Candidate:
        """Return a candidate."""
        return self._candidates[number]

    @property
    def n_rejected(self) -> int:
        """Return how many candidates were examined and are not used."""
        good = {CandidateStatus.USED, CandidateStatus.CONTROL}
        return sum(record.status not in good for record in self._records.values())

    def table(self, *, with_cutouts: bool) -> KernelCandidates:
        """Return what is known of all candidates that were examined."""
        numbers = sorted(self._records)
        known = [(self._candidates[n], self._records[n]) for n in numbers]
        records = [record for _, record in known]
        return KernelCandidates(
            x=np.array([candidate.x for candidate, _ in known]),
            y=np.array([candidate.y for candidate, _ in known]),
            snr=np.array([candidate.snr for candidate, _ in known]),
            status=np.array([r.status.value for r in records], str),
            kernel_sum=np.array(
                [r.single.sum if r.single else np.nan for r in records]
            ),
            local_mean=np.array([r.local.mean for r in records]),
            local_rms=np.array([r.local.rms for r in records]),
            spatial_mean=np.array([r.spatial.mean for r in records]),
            spatial_rms=np.array([r.spatial.rms for r in records]),
            targets=np.array([r.target for r in records]) if with_cutouts else None,
            residuals=np.array([r.left for r in records]) if with_cutouts else None,
        )

    def _active(self) -> list[int]:
        good = {CandidateStatus.USED}
        rejected = {n for n, r in self._records.items() if r.status not in good}
        return choose_active(self._candidates, rejected | self._control, self._rules)

    def _examine(self, numbers: Sequence[int], status: CandidateStatus) -> None:
        """Fit candidates each on its own, if that has not been done."""
        new = [number for number in numbers if number not in self._records]
        at_once = self._cutter.at_once
        for start in range(0, len(new), at_once):
            self._examine_together(new[start : start + at_once], status)

    def _examine_together(
        self, numbers: Sequence[int], status: CandidateStatus
    ) -> None:
        candidates = [self._candidates[number] for number in numbers]
        cutouts = self._cutter.cut([c.x for c in candidates], [c.y for c in candidates])
        for number, target in zip(numbers, cutouts.target, strict=True):
            self._records[number] = _Record(
                status=CandidateStatus.UNUSABLE, target=target, left=target
            )
        complete = np.flatnonzero(cutouts.is_complete)
        if not complete.size:
            return
        if len(complete) < len(numbers):
            cutouts = cutouts.take(complete)
        for row, single in enumerate(self._fitter.fit(cutouts)):
            number = numbers[complete[row]]
            record = self._records[number]
            self._cutouts[number] = cutouts.take(row)
            record.status, record.single, record.left = status, single, single.left
            record.local = self._residual(number, single.left, single.variance)

    def _residual(
        self, number: int, left: NDArray[np.float64], variance: NDArray[np.float64]
    ) -> Residual:
        usable = self._cutouts[number].usable
        return Residual.of(
            left, variance, usable, core_radius=self._rejection.core_radius
        )

    def _reject_odd(self, used: Sequence[int]) -> bool:
        """Reject candidates whose own kernels are odd; whether there were any."""
        rules = self._rejection
        conditions = np.array([self.single(number).condition for number in used])
        self.reject(
            used, conditions <= rules.condition, CandidateStatus.ILL_CONDITIONED
        )
        rest = self.having(CandidateStatus.USED)
        fits = keep_matched([self._records[number].local for number in rest], rules)
        self.reject(rest, fits, CandidateStatus.POOR_LOCAL_FIT)
        rest = self.having(CandidateStatus.USED)
        sums = [self.single(number).sum for number in rest]
        usual = keep_usual_sums(sums, rules.kernel_sum_clip)
        self.reject(rest, usual, CandidateStatus.ODD_SUM)
        return len(self.having(CandidateStatus.USED)) < len(used)
