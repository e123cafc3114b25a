"""Subtraction with a fitted matching kernel that makes the PSFs of two images equal."""

from dataclasses import dataclass, field, replace
from math import inf
from typing import Annotated

from annotated_types import Ge, Gt, Le

from streamdiff.errors import ConfigError, SubtractionError
from streamdiff.imaging.comparable import check_comparable, no_common_pixel
from streamdiff.model import (
    Convolved,
    Difference,
    Exposure,
    FluxScale,
    MaskPlane,
    Reason,
    Skip,
)
from streamdiff_al.basis import BasisRules, KernelBasis
from streamdiff_al.candidates import UNLIMITED, CandidateRules, CandidateSource
from streamdiff_al.direction import Direction
from streamdiff_al.find_match import FindRules, find_match
from streamdiff_al.match import MatchRules
from streamdiff_al.pair import Pair
from streamdiff_al.pca import NoVariationError
from streamdiff_al.regularise import Regularisation
from streamdiff_al.reject import RejectionRules
from streamdiff_al.remake import stored_match
from streamdiff_al.roster import TooFewCandidatesError

# What LSST keeps out of its kernel candidates, and cosmic rays.
_BAD_PLANES = (
    "NO_DATA",
    "BAD",
    "SAT",
    "CR",
    "EDGE",
    "HIGH_VARIANCE",
    "INJECTED",
    "INJECTED_TEMPLATE",
)


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
        How many of them.
    use_bic : bool
        Leave out Gaussians and degrees that the candidates do not justify.
    degrees : tuple of int
        Degree of the polynomial that multiplies each Gaussian of the basis. PSFs that
        are elongated need one of 4 for the Gaussian of about the kernel's width.
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
    kernel_order : int, optional
        Order of the kernel's variation over the image; lowered where candidates are
        few. Without it, the one that predicts the images best, up to 4.
    background_order : int
        Order of the background's variation; lowered where candidates are few.
    subtract_background : bool
        Subtract the fitted background, too.
    candidates_from : CandidateSource
        Whose stars are kernel candidates. Those of a catalogue that came along with
        the exposure win over those that are found on it.
    bad_planes : tuple of str
        Mask planes whose pixels are not fitted, beside those without data.
    cell_size : float, optional
        Side of the spatial cells [pixel]; without it, as ``max_stars`` fills them.
    stars_per_cell, max_stars : int
        Kernel candidates used at the same time; -1: all.
    min_stars : int
        With fewer, the visit is skipped.
    control_step : int
        Every so many of the candidates is not fitted, but judges the fit; 0: none.
    min_snr, best_snr, max_snr : float
        Limits of the signal-to-noise ratio of a candidate, and the best one.
    constant_weights : bool
        Give all pixels of a candidate the same weight.
    max_residual_mean, max_residual_rms : float
        Largest residuals of a candidate [sigma per pixel], or twice the median.
    core_radius : int, optional
        They are judged up to so many columns and rows from the candidate.
    kernel_sum_clip : float
        Largest deviation of a candidate's own kernel sum [sigma].
    max_candidate_condition, max_condition : float
        Condition numbers, of the usual candidate's own fit and of the fit to all,
        above which they are reported as ill.
    check_condition : bool
        Reject candidates that exceed the first.
    kernel_uncertainty : bool
        Find the covariance of the kernel, too.
    keep_cutouts : bool
        Keep the pixels of the candidates in ``Difference.kernel_candidates``.
    max_passes : int
        Largest number of rejections.
    direction : Direction
        Which image is convolved; by default none is ever deconvolved.

    Notes
    -----
    Departures from LSST's implementation, whose defaults these are: the noise of the
    convolved image is taken out of the fit, and the models of the PSFs tell what the
    stars do not (see `normal_equations`); limits of
    residuals grow with what is usual in the image (see `reject`); unusable pixels have
    no weight in place of spoiling their candidate; where stars disagree, the kernel of
    calibrated exposures comes from their PSFs alone; spatial cells are as many as
    ``max_stars`` fills; orders are lowered where candidates are few or close together
    (see `matcher`), and the kernel's follows from the candidates unless it is given
    (see `spatial_order`); the middle Gaussian has the degree 4, not 2; components of
    kernels are weighted by how well each kernel is known (see `pca`); BIC judges one
    fit to all candidates, not each (see `bic`); ``auto`` convolves both images where
    neither PSF contains the other, in place of deconvolving one (see `direction`); any
    source that both images show may be a candidate, also one with neighbours (see
    `candidates`); weights are inverse variances, those of the difference as soon as a
    kernel is known, and fitted squares are as large as the PSF, not the kernel, asks
    for; condition numbers are those of matrices scaled to a diagonal of 1, whose
    singular values are their eigenvalues; no candidate is held back to judge the fit,
    since the few brightest stars know most of the kernel; its uncertainty is that of
    the fit to all (see `joint`). Where both images are convolved, the noise of the
    difference is the more correlated: whiten it, or find sources on it with its own
    PSF.
    """

    kernel_basis: KernelBasis = KernelBasis.ALARD_LUPTON
    regularise: bool = True
    regularisation: Regularisation = field(default_factory=Regularisation)
    use_pca: bool | None = None
    pca_components: Annotated[int, Ge(1)] = 5
    use_bic: bool = False
    degrees: tuple[int, ...] = (4, 4, 2)
    sigmas: tuple[float, ...] = (0.7, 1.5, 3.0)
    scale_by_fwhm: bool = True
    beta: Annotated[float, Gt(1)] = 2.0
    min_sigma: Annotated[float, Gt(0)] = 0.7
    min_sigma_deconvolution: Annotated[float, Gt(0)] = 0.4
    kernel_size_per_sigma: Annotated[float, Gt(0)] = 6.0
    min_kernel_size: Annotated[int, Ge(3)] = 21
    max_kernel_size: Annotated[int, Ge(3)] = 35
    kernel_order: Annotated[int, Ge(0), Le(4)] | None = None
    background_order: Annotated[int, Ge(0), Le(4)] = 2
    subtract_background: bool = True
    candidates_from: CandidateSource = CandidateSource.AUTO
    bad_planes: tuple[str, ...] = _BAD_PLANES
    cell_size: Annotated[float, Ge(32)] | None = None
    stars_per_cell: Annotated[int, Ge(-1)] = 5
    max_stars: Annotated[int, Ge(-1)] = 200
    min_stars: Annotated[int, Ge(1)] = 3
    control_step: Annotated[int, Ge(0)] = 0
    min_snr: Annotated[float, Gt(0)] = 10.0
    best_snr: Annotated[float, Gt(0)] = 500.0
    max_snr: Annotated[float, Gt(0)] = inf
    constant_weights: bool = False
    max_residual_mean: Annotated[float, Gt(0)] = 0.25
    max_residual_rms: Annotated[float, Gt(0)] = 1.5
    core_radius: Annotated[int, Ge(1)] | None = None
    kernel_sum_clip: Annotated[float, Gt(0)] = 3.0
    max_candidate_condition: Annotated[float, Gt(1)] = 5e7
    max_condition: Annotated[float, Gt(1)] = 1e10
    check_condition: bool = False
    kernel_uncertainty: bool = False
    keep_cutouts: bool = False
    max_passes: Annotated[int, Ge(1), Le(5)] = 3
    direction: Direction = Direction.AUTO

    def __post_init__(self) -> None:
        # Wrong combinations are to be known at start, not at the first visit.
        _ = self._basis_rules
        _check_planes(self.bad_planes)
        if 0 in {self.stars_per_cell, self.max_stars}:
            raise ConfigError(
                "subtract.al: stars_per_cell and max_stars must not be 0: use "
                f"{UNLIMITED} for all there are"
            )
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
            If the shapes or bands differ, no kernel of positive sum matches the images,
            or principal components are asked for where all kernels are the same.
        """
        check_comparable(science, template)
        pair = Pair.of(science, template, self.direction)
        if not pair.overlap.any():
            return no_common_pixel(science)
        try:
            match = find_match(pair, self._find_rules)
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

    def remake(
        self, science: Exposure, template: Exposure, difference: Difference
    ) -> Difference:
        """Return a difference made once more, with the kernel that it had.

        From the same exposures, and with the same options, the pixels are the same.

        Parameters
        ----------
        science, template : Exposure
        difference : Difference
            An earlier one; of its own it gives the kernel, the background, and which
            image is convolved.

        Raises
        ------
        SubtractionError
            If it comes without its kernel, or the exposures do not belong together.
        """
        check_comparable(science, template)
        match = stored_match(difference)
        direction = self.direction
        if difference.convolved in {Convolved.TEMPLATE, Convolved.SCIENCE}:
            direction = Direction(difference.convolved.value)
        pair = Pair.of(science, template, direction)
        again = pair.subtract(
            match, subtract_background=difference.background is not None
        )
        return replace(
            again.on_scale(difference.flux_scale),
            metrics=difference.metrics,
            kernel_candidates=difference.kernel_candidates,
        )

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
    def _find_rules(self) -> FindRules:
        return FindRules(
            kernel_basis=self.kernel_basis,
            basis=self._basis_rules,
            use_bic=self.use_bic,
            candidates_from=self.candidates_from,
            bad=MaskPlane.named(self.bad_planes),
            match=self._match_rules,
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
            constant_weights=self.constant_weights,
            uncertainty=self.kernel_uncertainty,
            keep_cutouts=self.keep_cutouts,
            max_condition=self.max_condition,
            max_candidate_condition=self.max_candidate_condition,
            candidates=CandidateRules(
                per_cell=self.stars_per_cell,
                most=self.max_stars,
                least=self.min_stars,
                cell_size=self.cell_size,
                control_step=self.control_step,
                min_snr=self.min_snr,
                best_snr=self.best_snr,
                max_snr=self.max_snr,
            ),
            rejection=RejectionRules(
                residual_mean=self.max_residual_mean,
                residual_rms=self.max_residual_rms,
                core_radius=self.core_radius,
                kernel_sum_clip=self.kernel_sum_clip,
                condition=self.max_candidate_condition if self.check_condition else inf,
                passes=self.max_passes,
            ),
        )


def _check_planes(names: tuple[str, ...]) -> None:
    try:
        MaskPlane.named(names)
    except ValueError as err:
        raise ConfigError(f"subtract.al.bad_planes: {err}") from err
