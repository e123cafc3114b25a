"""The weighted mean of warps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from annotated_types import Ge, Gt, Le

from streamdiff.imaging.aperture import aperture_corrections
from streamdiff.imaging.noise import typical_variance
from streamdiff.model import (
    UNUSABLE,
    ApertureCorrections,
    Coadd,
    Exposure,
    MaskPlane,
    Reason,
    Skip,
    TemplateId,
)
from streamdiff.model.psf import fwhm
from streamdiff_coadd.assemble import NO_PIXEL, Scale, StackRules, assemble
from streamdiff_coadd.finish import Circle, interpolate_holes, mask_circles
from streamdiff_coadd.mask_rules import MaskRules
from streamdiff_coadd.running_mean import MeanImage, RunningMean
from streamdiff_coadd.seeing import SeeingLimits
from streamdiff_coadd.stack import Stack

DEFAULT_BAD = tuple(p.name for p in MaskPlane if p in UNUSABLE and p.name)
Fraction = Annotated[float, Ge(0), Le(1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanCoadder:
    """The mean of all usable pixels, weighted by the noise of each warp.

    Attributes
    ----------
    bad : tuple of str
        Mask planes whose pixels do not count.
    scale : {"auto", "none"}
        Whether warps without a zero point are brought onto one flux scale by
        their common stars.
    min_stars : int
        How many stars two warps must share for that, and they must agree.
    max_seeing_arcsec : float or None
        Warps of a wider PSF are left out.
    best_fraction : float
        Part of the warps that is taken, the sharpest, in (0, 1].
    min_inputs : int
        Fewer accepted warps make no coadd.
    propagate : mapping of str to float
        Mask planes -> a pixel of the coadd is of this plane if more than this part
        of its weight was lost to it.
    drop : tuple of str
        Mask planes that the coadd does not inherit.
    max_hole : int
        Pixels without data are interpolated, and INTRP, where they are surrounded
        and no farther apart than this [pixel].
    bright_objects : tuple of (float, float, float)
        Circles (right ascension [degree], declination [degree], radius [arcsec])
        that the coadd marks BRIGHT_OBJECT.
    input_map : bool
        Keep which inputs contribute to each pixel.
    artifact_map : bool
        Keep which inputs are left out of each pixel, as artifacts; of none here.
    aperture_radius : float or None
        Keep what makes fluxes within a circle of this radius those of whole stars
        [pixel].

    Raises
    ------
    ValueError
        If there is no such mask plane.
    """

    bad: tuple[str, ...] = DEFAULT_BAD
    scale: Scale = Scale.AUTO
    min_stars: Annotated[int, Ge(1)] = 3
    max_seeing_arcsec: Annotated[float, Gt(0)] | None = None
    best_fraction: Annotated[float, Gt(0), Le(1)] = 1.0
    min_inputs: Annotated[int, Ge(1)] = 1
    propagate: Mapping[str, Fraction] = field(default_factory=lambda: {"SAT": 0.1})
    drop: tuple[str, ...] = ("DETECTED", "DETECTED_NEGATIVE")
    max_hole: Annotated[int, Ge(0)] = 0
    bright_objects: tuple[Circle, ...] = ()
    input_map: bool = False
    artifact_map: bool = False
    aperture_radius: Annotated[float, Gt(0)] | None = None

    def __post_init__(self) -> None:
        # A misspelt plane is to be known at start, not at the first update.
        MaskPlane.named(self.bad)
        _ = self._mask_rules

    def coadd(self, template_id: TemplateId, warps: Sequence[Exposure]) -> Coadd | Skip:
        """Return the coadd of exposures that are all on the same pixels."""
        if not len(warps):
            return Skip(Reason.INSUFFICIENT_EPOCHS, f"{template_id}: no exposure")
        stack = assemble(warps, self._stack_rules)
        skip = _too_few(stack, self.min_inputs)
        if skip is not None:
            return skip
        mean = RunningMean(
            stack,
            self._mask_rules,
            input_map=self.input_map,
            artifact_map=self.artifact_map,
        )
        self.fill(mean, stack)
        return self._finished(mean.result(template_id), stack)

    def fill(self, mean: RunningMean, stack: Stack) -> None:
        """Add the inputs of a stack to their mean."""
        for item in stack.inputs:
            mean.add(item)

    def _finished(self, mean: MeanImage, stack: Stack) -> Coadd:
        """Return the coadd, with the report on its inputs."""
        exposure = interpolate_holes(mean.exposure, self.max_hole)
        exposure = mask_circles(exposure, self.bright_objects)
        usable = exposure.usable(MaskPlane.NO_DATA)
        return Coadd(
            exposure=exposure,
            n_image=mean.n_image,
            inputs=stack.report(),
            input_map=mean.input_map,
            artifact_map=mean.artifact_map,
            aperture_corrections=self._aperture_corrections(exposure),
            metrics={
                "n_inputs": float(len(stack.inputs)),
                "n_rejected_inputs": float(len(stack.rejected)),
                "coverage": float(usable.mean()),
                "mean_variance": typical_variance(exposure.variance, usable),
                "clipped_fraction": mean.clipped_fraction,
                "psf_fwhm_pixel": _width_in_the_middle(exposure),
            },
        )

    def _aperture_corrections(self, exposure: Exposure) -> ApertureCorrections | None:
        if self.aperture_radius is None:
            return None
        return aperture_corrections(exposure.psf, exposure.shape, self.aperture_radius)

    @property
    def _stack_rules(self) -> StackRules:
        return StackRules(
            bad=MaskPlane.named(self.bad),
            scale=Scale(self.scale),
            min_stars=self.min_stars,
            seeing=SeeingLimits(
                max_arcsec=self.max_seeing_arcsec, best_fraction=self.best_fraction
            ),
        )

    @property
    def _mask_rules(self) -> MaskRules:
        return MaskRules(
            propagate={MaskPlane.named([p]): t for p, t in self.propagate.items()},
            drop=MaskPlane.named(self.drop),
        )


def _width_in_the_middle(exposure: Exposure) -> float:
    height, width = exposure.shape
    return fwhm(exposure.psf.centred_at((width - 1) / 2, (height - 1) / 2))


def _too_few(stack: Stack, minimum: int) -> Skip | None:
    """Return why a stack makes no coadd, `None` if it does."""
    if len(stack.inputs) >= minimum:
        return None
    is_blank = not stack.inputs and all(
        NO_PIXEL in text for text in stack.rejected.values()
    )
    why = "; ".join(f"{i}: {text}" for i, text in stack.rejected.items())
    return Skip(
        Reason.NO_VALID_PIXELS if is_blank else Reason.INSUFFICIENT_EPOCHS,
        f"{len(stack.inputs)} of {len(stack.ids)} exposures can be coadded, "
        f"{minimum} are required{'; ' + why if why else ''}",
    )
