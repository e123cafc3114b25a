"""The weighted mean of warps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from streamdiff.imaging.noise import typical_variance
from streamdiff.model import (
    UNUSABLE,
    Coadd,
    Exposure,
    MaskPlane,
    Reason,
    Skip,
    TemplateId,
)
from streamdiff_coadd.running_mean import MeanImage, RunningMean
from streamdiff_coadd.stack import Scale, Stack, make_stack

DEFAULT_BAD = tuple(p.name for p in MaskPlane if p in UNUSABLE and p.name)


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
        How many stars two warps must share for that.
    min_inputs : int
        Fewer accepted warps make no coadd.

    Raises
    ------
    ValueError
        If there is no such mask plane.
    """

    bad: tuple[str, ...] = DEFAULT_BAD
    scale: Scale = Scale.AUTO
    min_stars: Annotated[int, Ge(1)] = 10
    min_inputs: Annotated[int, Ge(1)] = 1

    def __post_init__(self) -> None:
        # A misspelt plane is to be known at start, not at the first update.
        MaskPlane.named(self.bad)

    def coadd(self, template_id: TemplateId, warps: Sequence[Exposure]) -> Coadd | Skip:
        """Return the coadd of exposures that are all on the same pixels."""
        bad = MaskPlane.named(self.bad) | MaskPlane.NO_DATA
        stack = make_stack(
            warps, bad=bad, scale=Scale(self.scale), min_stars=self.min_stars
        )
        skip = _too_few(stack, warps, self.min_inputs)
        if skip is not None:
            return skip
        mean = RunningMean(stack, bad)
        self.fill(mean, stack)
        return _finished(mean.result(template_id), stack, warps)

    def fill(self, mean: RunningMean, stack: Stack) -> None:
        """Add the inputs of a stack to their mean."""
        for item in stack.inputs:
            mean.add(item)


def _too_few(stack: Stack, warps: Sequence[Exposure], minimum: int) -> Skip | None:
    """Return why a stack makes no coadd, `None` if it does."""
    if len(stack.inputs) >= minimum:
        return None
    is_blank = not stack.inputs and all(
        "no usable pixel" in text for text in stack.rejected.values()
    )
    why = "; ".join(f"{i}: {text}" for i, text in stack.rejected.items())
    return Skip(
        Reason.NO_VALID_PIXELS if warps and is_blank else Reason.INSUFFICIENT_EPOCHS,
        f"{len(stack.inputs)} of {len(warps)} exposures can be coadded, "
        f"{minimum} are required{'; ' + why if why else ''}",
    )


def _finished(mean: MeanImage, stack: Stack, warps: Sequence[Exposure]) -> Coadd:
    """Return the coadd, with the report on its inputs."""
    exposure = mean.exposure
    usable = exposure.usable(MaskPlane.NO_DATA)
    return Coadd(
        exposure=exposure,
        n_image=mean.n_image,
        inputs=stack.report(warps),
        metrics={
            "n_inputs": float(len(stack.inputs)),
            "n_rejected_inputs": float(len(stack.rejected)),
            "coverage": float(usable.mean()),
            "mean_variance": typical_variance(exposure.variance, usable),
            "clipped_fraction": mean.clipped_fraction,
        },
    )
