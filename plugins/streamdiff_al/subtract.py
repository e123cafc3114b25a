"""Subtraction with a fitted matching kernel, one image convolved to match the other."""

from dataclasses import dataclass, field
from math import ceil
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le

from streamdiff.errors import ConfigError, SubtractionError
from streamdiff.imaging.stars import find_stars
from streamdiff.model import Difference, Exposure, FluxScale, Reason, Skip
from streamdiff_al.basis import BasisRules, KernelBasis, alard_lupton_basis
from streamdiff_al.bic import choose_degrees, kept_rows
from streamdiff_al.candidates import Candidate, CandidateRules, rank_candidates
from streamdiff_al.cutout import Cutter
from streamdiff_al.delta_basis import delta_basis
from streamdiff_al.direction import Direction, choose_convolved, mean_fwhm
from streamdiff_al.match import Match, Matcher, MatchRules, TooFewCandidatesError
from streamdiff_al.pair import Pair
from streamdiff_al.pca import NoVariationError
from streamdiff_al.psf_match import match_psfs
from streamdiff_al.regularise import Regularisation
from streamdiff_al.reject import RejectionRules

# Half the side of the fitted square, at least, in FWHM of the wider PSF.
_HALF_PER_FWHM = 2.5
# Stars to be found per candidate that may be used: some are rejected.
_STARS_PER_CANDIDATE = 20
# Stars of calibrated exposures that differ more in scale, and are left with larger
# residuals [sigma per pixel], are not the same stars.
_LARGEST_SCALE = 2.0
_LARGEST_RMS = 3.0
# Candidates, the best ones, that choose the size of the basis.
_BIC_CANDIDATES = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class AlardLuptonSubtractor:
    """Subtraction after Alard & Lupton 1998, ApJ 503, 325, and Alard 2000.

    Attributes
    ----------
    kernel_basis : KernelBasis
        Delta functions take some ten times as long as Gaussians.
    regularise : bool
        Keep a kernel of delta functions smooth.
    regularisation : Regularisation
        How.
    use_pca : bool, optional
        Let the kernel vary along principal components of the candidates' own
        kernels, as it does by default for delta functions alone.
    pca_components : int
    use_bic : bool
        Leave out Gaussians and degrees that the candidates do not justify.
    degrees : tuple of int
        Degree of the polynomial that multiplies each Gaussian of the basis.
    sigmas : tuple of float
        Widths of the Gaussians [pixel] where they are not scaled.
    scale_by_fwhm : bool
        Derive the widths from those of the two PSFs.
    beta : float
        Ratio of the widths of successive Gaussians.
    min_sigma, min_sigma_deconvolution : float
        Smallest width [pixel]; the second where the wider PSF is convolved.
    kernel_size_per_sigma : float
        Side of the kernel over the width of its widest Gaussian.
    min_kernel_size, max_kernel_size : int
        Odd limits of that side [pixel].
    kernel_order, background_order : int
        Orders of the variation over the image; lowered where candidates are few.
    subtract_background : bool
        Subtract the fitted background, too.
    stars_per_cell, max_stars, min_stars : int
        Kernel candidates used at the same time.
    min_snr, best_snr : float
        Smallest signal-to-noise ratio of a candidate, and the best one.
    max_residual_mean, max_residual_rms : float
        Largest residuals of a candidate [sigma per pixel], or twice the median.
    kernel_sum_clip : float
        Largest deviation of a candidate's own kernel sum [sigma].
    max_passes : int
        Largest number of rejections.
    direction : Direction
        Which image is convolved.

    Notes
    -----
    Departures from LSST's implementation, whose defaults these are: the noise of the
    convolved image is taken out of the normal equations (see `fit`); limits of
    residuals grow with what is usual in the image (see `reject`); unusable pixels
    have no weight in place of spoiling their candidate; where stars disagree, the
    kernel of calibrated exposures comes from their PSFs alone; spatial cells are as
    many as ``max_stars`` fills; orders are lowered where candidates are few or close
    together (see `match`); components of kernels are weighted by how well each kernel
    is known (see `pca`); BIC judges one fit to all candidates, not each (see `bic`).
    """

    kernel_basis: KernelBasis = KernelBasis.ALARD_LUPTON
    regularise: bool = True
    regularisation: Regularisation = field(default_factory=Regularisation)
    use_pca: bool | None = None
    pca_components: Annotated[int, Ge(1)] = 5
    use_bic: bool = False
    degrees: tuple[int, ...] = (4, 2, 2)
    sigmas: tuple[float, ...] = (0.7, 1.5, 3.0)
    scale_by_fwhm: bool = True
    beta: Annotated[float, Gt(1)] = 2.0
    min_sigma: Annotated[float, Gt(0)] = 0.7
    min_sigma_deconvolution: Annotated[float, Gt(0)] = 0.4
    kernel_size_per_sigma: Annotated[float, Gt(0)] = 6.0
    min_kernel_size: Annotated[int, Ge(3)] = 21
    max_kernel_size: Annotated[int, Ge(3)] = 35
    kernel_order: Annotated[int, Ge(0), Le(4)] = 1
    background_order: Annotated[int, Ge(0), Le(4)] = 2
    subtract_background: bool = True
    stars_per_cell: Annotated[int, Ge(1)] = 5
    max_stars: Annotated[int, Ge(1)] = 200
    min_stars: Annotated[int, Ge(1)] = 3
    min_snr: Annotated[float, Gt(0)] = 10.0
    best_snr: Annotated[float, Gt(0)] = 500.0
    max_residual_mean: Annotated[float, Gt(0)] = 0.25
    max_residual_rms: Annotated[float, Gt(0)] = 1.5
    kernel_sum_clip: Annotated[float, Gt(0)] = 3.0
    max_passes: Annotated[int, Ge(1), Le(5)] = 3
    direction: Direction = Direction.AUTO

    def __post_init__(self) -> None:
        # Wrong combinations are to be known at start, not at the first visit.
        _ = self._basis_rules
        if self.use_bic and self._is_delta:
            raise ConfigError(
                "subtract.al: use_bic chooses Gaussians and degrees: it needs "
                f'kernel_basis "{KernelBasis.ALARD_LUPTON}"'
            )

    def subtract(self, science: Exposure, template: Exposure) -> Difference | Skip:
        """Return the difference of two exposures, on the template's scale.

        Raises
        ------
        SubtractionError
            If the shapes differ, no kernel of positive sum matches the images, or
            principal components are asked for where all kernels are the same.
        """
        if science.shape != template.shape:
            raise SubtractionError(
                f"{science.id}: science image {science.shape} and template "
                f"{template.shape} differ in shape: warp the template first"
            )
        convolved = choose_convolved(self.direction, science, template)
        pair = Pair.of(science, template, convolved)
        if not pair.overlap.any():
            return Skip(
                Reason.NO_VALID_PIXELS,
                f"{science.id}: no pixel is usable in the science image and in the "
                "template",
            )
        try:
            match = self._match(pair)
        except TooFewCandidatesError as err:
            return Skip(
                Reason.INSUFFICIENT_KERNEL_SOURCES, f"{science.id}: too few: {err}"
            )
        except NoVariationError as err:
            raise SubtractionError(
                f"{science.id}: no principal components: {err}: set use_pca = false"
            ) from err
        difference = pair.subtract(match, subtract_background=self.subtract_background)
        return difference.on_scale(FluxScale.TEMPLATE)

    def _match(self, pair: Pair) -> Match:
        """Return the match of the image to be convolved to the other."""
        widths = [mean_fwhm(e.psf, e.shape) for e in (pair.source, pair.target)]
        sigmas = self._basis_rules.widths(*widths)
        size = self._basis_rules.size(sigmas)
        basis = (
            delta_basis(size)
            if self._is_delta
            else alard_lupton_basis(size, sigmas, self.degrees)
        )
        half = max(size // 2 + 1, ceil(_HALF_PER_FWHM * max(widths)))
        cutter = Cutter.of(
            pair.target_pixels,
            pair.source_pixels,
            basis,
            half=half,
            order=max(self.kernel_order, self.background_order),
        )
        candidates = self._candidates(pair, cutter, 2 * max(widths))
        if self.use_bic:
            cutter = self._justified(cutter, candidates)
        try:
            match = Matcher(cutter, candidates, self._match_rules).match()
            if not pair.is_calibrated or _is_credible(match):
                return match
        except TooFewCandidatesError:
            if not pair.is_calibrated or len(candidates) < self.min_stars:
                raise
        # What is known of the exposures is better than stars that disagree.
        return match_psfs(pair.source.psf, pair.target.psf, basis, pair.science.shape)

    def _justified(self, cutter: Cutter, candidates: list[Candidate]) -> Cutter:
        """Return the cutter for as much of the basis as the candidates justify."""
        cutouts = (cutter.cut(c.x, c.y) for c in candidates[:_BIC_CANDIDATES])
        complete = [cutout for cutout in cutouts if cutout.is_complete]
        if not complete:
            return cutter
        chosen = choose_degrees(complete, self.degrees)
        return cutter.restricted(kept_rows(self.degrees, chosen))

    def _candidates(self, pair: Pair, cutter: Cutter, radius: float) -> list[Candidate]:
        """Return stars of the science image or, failing those, of the template."""
        rules, candidates = self._match_rules.candidates, list[Candidate]()
        for exposure, other in (
            (pair.science, pair.template),
            (pair.template, pair.science),
        ):
            stars = find_stars(
                exposure,
                threshold=self.min_snr,
                max_stars=_STARS_PER_CANDIDATE * self.max_stars,
            )
            candidates = rank_candidates(
                stars, other, reach=cutter.reach, radius=radius, rules=rules
            )
            if len(candidates) >= self.min_stars:
                break
        return candidates

    @property
    def _is_delta(self) -> bool:
        return self.kernel_basis == KernelBasis.DELTA_FUNCTION

    @property
    def _basis_rules(self) -> BasisRules:
        return BasisRules(
            degrees=self.degrees,
            sigmas=self.sigmas,
            scale_by_fwhm=self.scale_by_fwhm,
            beta=self.beta,
            min_sigma=self.min_sigma,
            min_sigma_deconvolution=self.min_sigma_deconvolution,
            size_per_sigma=self.kernel_size_per_sigma,
            min_size=self.min_kernel_size,
            max_size=self.max_kernel_size,
        )

    @property
    def _match_rules(self) -> MatchRules:
        use_pca = self._is_delta if self.use_pca is None else self.use_pca
        return MatchRules(
            regularisation=(
                self.regularisation if self._is_delta and self.regularise else None
            ),
            n_components=self.pca_components if use_pca else 0,
            constant_sum=not self._is_delta,
            kernel_order=self.kernel_order,
            background_order=self.background_order,
            candidates=CandidateRules(
                per_cell=self.stars_per_cell,
                most=self.max_stars,
                least=self.min_stars,
                min_snr=self.min_snr,
                best_snr=self.best_snr,
            ),
            rejection=RejectionRules(
                residual_mean=self.max_residual_mean,
                residual_rms=self.max_residual_rms,
                kernel_sum_clip=self.kernel_sum_clip,
                passes=self.max_passes,
            ),
        )


def _is_credible(match: Match) -> bool:
    """Return whether the stars of calibrated exposures are the same stars.

    They are not if they neither fit nor have the scale of the calibration.
    """
    if 1 / _LARGEST_SCALE < match.kernel.centre_sum < _LARGEST_SCALE:
        return True
    return bool(np.median([r.rms for r in match.residuals]) < _LARGEST_RMS)
