"""How one exposure is made to match another: its basis, its candidates, its fit."""

from dataclasses import dataclass, field, replace
from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray

from streamdiff.model import NO_PLANES, Exposure, MaskPlane
from streamdiff.model.psf import noise_equivalent_area
from streamdiff_al.basis import BasisRules, KernelBasis, alard_lupton_basis
from streamdiff_al.bic import choose_degrees, kept_rows
from streamdiff_al.candidates import (
    Candidate,
    CandidateSource,
    candidate_stars,
    rank_candidates,
)
from streamdiff_al.cutter import Cutter
from streamdiff_al.delta_basis import delta_basis
from streamdiff_al.diagnostics import basis_figures
from streamdiff_al.match import Match, MatchRules
from streamdiff_al.matcher import Matcher
from streamdiff_al.pair import Pair
from streamdiff_al.psf_match import expected_kernel, match_psfs
from streamdiff_al.psf_shapes import mean_fwhm
from streamdiff_al.roster import TooFewCandidatesError

# Half the side of the fitted square, at least, in FWHM of the wider PSF.
_HALF_PER_FWHM = 2.5
# A much brighter star so near spoils a candidate, in FWHM of the wider PSF.
_ISOLATION_PER_FWHM = 2.0
# Stars of calibrated exposures that differ more in scale, and are left with larger
# residuals [sigma per pixel], are not the same stars.
_LARGEST_SCALE = 2.0
_LARGEST_RMS = 3.0
# Candidates, the best ones, that choose the size of the basis.
_BIC_CANDIDATES = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class FindRules:
    """What a kernel is made of, what it is fitted to, and how.

    Attributes
    ----------
    kernel_basis : KernelBasis
    basis : BasisRules
    use_bic : bool
        Leave out Gaussians and degrees that the candidates do not justify.
    candidates_from : CandidateSource
    bad : MaskPlane
        Pixels of these planes are not fitted; neither are unusable ones.
    match : MatchRules
    """

    kernel_basis: KernelBasis = KernelBasis.ALARD_LUPTON
    basis: BasisRules = field(default_factory=BasisRules)
    use_bic: bool = False
    candidates_from: CandidateSource = CandidateSource.AUTO
    bad: MaskPlane = NO_PLANES
    match: MatchRules = field(default_factory=MatchRules)


def find_match(pair: Pair, rules: FindRules) -> Match:
    """Return the match of the source of a pair to its target.

    Raises
    ------
    TooFewCandidatesError
        If there are too few stars, and no flux scale that is known without them.
    NoVariationError
        If principal components are asked for where all kernels are the same.
    """
    widths = [mean_fwhm(e.psf, e.shape) for e in (pair.source, pair.target)]
    sigmas = rules.basis.widths(widths[0], widths[1])
    size = rules.basis.size(sigmas)
    cutter = _cutter(pair, _basis(rules, size, sigmas), max(widths), rules)
    match = _fitted(pair, cutter, _ISOLATION_PER_FWHM * max(widths), rules)
    if rules.kernel_basis == KernelBasis.DELTA_FUNCTION:
        sigmas = ()
    figures = basis_figures(size, sigmas, rules.basis, is_wider=widths[0] > widths[1])
    return replace(match, diagnostics={**match.diagnostics, **figures})


def _basis(
    rules: FindRules, size: int, sigmas: tuple[float, ...]
) -> NDArray[np.float64]:
    if rules.kernel_basis == KernelBasis.DELTA_FUNCTION:
        return delta_basis(size)
    return alard_lupton_basis(size, sigmas, rules.basis.degrees)


def _cutter(
    pair: Pair, basis: NDArray[np.float64], fwhm: float, rules: FindRules
) -> Cutter:
    return Cutter.of(
        pair.target_pixels,
        pair.source_pixels,
        basis,
        half=max(basis.shape[-1] // 2 + 1, ceil(_HALF_PER_FWHM * fwhm)),
        order=max(rules.match.largest_order, rules.match.background_order),
        bad=rules.bad,
    )


def _fitted(pair: Pair, cutter: Cutter, isolation: float, rules: FindRules) -> Match:
    """Return the match that stars tell or, failing that, the models of the PSFs."""
    candidates = _candidates(pair, cutter, isolation, rules)
    basis = cutter.basis
    if rules.use_bic:
        cutter = _justified(cutter, candidates, rules.basis.degrees)
    expected = expected_kernel(
        pair.source.psf, pair.target.psf, cutter.basis, pair.science.shape
    )
    try:
        match = Matcher(cutter, candidates, _match_rules(pair, rules), expected).match()
        if not pair.is_calibrated or _is_credible(match):
            return match
    except TooFewCandidatesError:
        if not pair.is_calibrated or len(candidates) < rules.match.candidates.least:
            raise
    # What is known of the exposures is better than stars that disagree.
    return match_psfs(pair.source.psf, pair.target.psf, basis, pair.science.shape)


def _match_rules(pair: Pair, rules: FindRules) -> MatchRules:
    """Return the rules, the mean of a residual allowed the scatter that it has.

    It is that of the pixels before the target was smoothed, the sigma is that after.
    """
    if pair.science_kernel is None:
        return rules.match
    growth = sqrt(noise_equivalent_area(pair.science_kernel))
    rejection = rules.match.rejection
    rejection = replace(rejection, residual_mean=growth * rejection.residual_mean)
    return replace(rules.match, rejection=rejection)


def _justified(
    cutter: Cutter, candidates: list[Candidate], degrees: tuple[int, ...]
) -> Cutter:
    """Return the cutter for as much of the basis as the candidates justify."""
    cutouts = (cutter.cut(c.x, c.y) for c in candidates[:_BIC_CANDIDATES])
    complete = [cutout for cutout in cutouts if cutout.is_complete]
    if not complete:
        return cutter
    return cutter.restricted(kept_rows(degrees, choose_degrees(complete, degrees)))


def _candidates(
    pair: Pair, cutter: Cutter, isolation: float, rules: FindRules
) -> list[Candidate]:
    """Return the stars that the kernel may be fitted to, the best first."""
    wanted, candidates = rules.match.candidates, list[Candidate]()
    for exposure, other in _sources(pair, rules.candidates_from):
        candidates = rank_candidates(
            candidate_stars(exposure, wanted),
            other,
            reach=cutter.reach,
            radius=isolation,
            rules=wanted,
        )
        if len(candidates) >= wanted.least:
            break
    return candidates


def _sources(pair: Pair, wanted: CandidateSource) -> list[tuple[Exposure, Exposure]]:
    """Return the exposures whose stars are tried in turn, each with the other one."""
    both = [(pair.science, pair.template), (pair.template, pair.science)]
    match wanted:
        case CandidateSource.SCIENCE:
            return both[:1]
        case CandidateSource.TEMPLATE:
            return both[1:]
        case _:
            return both


def _is_credible(match: Match) -> bool:
    """Return whether the stars of calibrated exposures are the same stars.

    They are not if they neither fit nor have the scale of the calibration.
    """
    if 1 / _LARGEST_SCALE < match.kernel.centre_sum < _LARGEST_SCALE:
        return True
    return bool(np.median([r.rms for r in match.residuals]) < _LARGEST_RMS)
