"""From warps to a stack: which take part, on which flux scale, with which weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from streamdiff.errors import InvalidExposureError
from streamdiff.imaging.flux_ratio import flux_ratio, reference_stars
from streamdiff.imaging.noise import typical_variance
from streamdiff.imaging.outline import convex_hull
from streamdiff.model import Exposure, ExposureId, MaskPlane, UnknownPsf
from streamdiff_coadd.layer import Layer
from streamdiff_coadd.seeing import SeeingLimits
from streamdiff_coadd.stack import Stack, StackInput

NO_PIXEL = "no usable pixel"


class Scale(StrEnum):
    """What is done about inputs without a zero point."""

    AUTO = "auto"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class StackRules:
    """How warps become a stack.

    Attributes
    ----------
    bad : MaskPlane
        Planes whose pixels do not count; NO_DATA never does.
    scale : Scale
        With ``auto``, warps that are not photometric are put on the scale of one
        that is, else of the first; those that share too few stars with any other
        are rejected.
    min_stars : int
        How many stars two warps must share; those must agree.
    seeing : SeeingLimits
    """

    bad: MaskPlane
    scale: Scale
    min_stars: int
    seeing: SeeingLimits


def assemble(warps: Sequence[Exposure], rules: StackRules) -> Stack:
    """Return warps, all on the same pixels, on one flux scale and weighted.

    Raises
    ------
    InvalidExposureError
        If shapes differ, or an exposure comes twice.
    """
    bad = rules.bad | MaskPlane.NO_DATA
    inputs, rejected = list[StackInput](), dict[ExposureId, str]()
    shapes: dict[ExposureId, tuple[int, int]] = {}
    for number, warp in enumerate(warps):
        offered = _offered(warps, number, warp, bad)
        if isinstance(offered, str):
            rejected[warp.exposure_id] = offered
        else:
            inputs.append(offered)
        shapes[warp.exposure_id] = warp.shape
    _check(shapes, len(warps))
    rejected |= rules.seeing.rejected(inputs, warps[0].wcs)
    inputs = [i for i in inputs if i.id not in rejected]
    if rules.scale is Scale.AUTO:
        scales = _common_scale(inputs, rules.min_stars)
        rejected |= {
            i.id: f"fewer than {rules.min_stars} stars in common with the other "
            "exposures, or these disagree: "
            'calibrate the exposures, or set scale = "none" if they share a scale'
            for i in inputs
            if i.id not in scales
        }
        photometric = any(i.photometric for i in inputs)
        inputs = [_scaled(i, scales[i.id]) for i in inputs if i.id in scales]
    else:
        photometric = all(i.photometric for i in inputs)
    return Stack(
        inputs=tuple(inputs),
        shape=next(iter(shapes.values())),
        wcs=warps[0].wcs,
        ids=tuple(shapes),
        rejected=rejected,
        photometric=photometric,
    )


def _offered(
    warps: Sequence[Exposure], number: int, warp: Exposure, bad: MaskPlane
) -> StackInput | str:
    """Return a warp on its own scale, or why it can not be used."""
    usable = Layer(warp=warp, scale=1.0, bad=bad).usable()
    area = convex_hull(usable)
    if area is None:
        return f"{NO_PIXEL}: all are without data or {_names(bad)}"
    if isinstance(warp.psf, UnknownPsf):
        return "the PSF is unknown"
    noise = typical_variance(warp.variance, usable)
    factor = np.broadcast_to(np.float32(warp.covariance_factor), warp.shape)
    power = noise * float(factor.mean(dtype=float, where=usable))
    if not (np.isfinite(power) and power > 0):
        return f"the noise of its sky is no positive number: {power:g}"
    return StackInput(
        warps=warps,
        number=number,
        id=warp.exposure_id,
        psf=warp.psf,
        photometric=warp.photometric,
        exposure_time_s=warp.exposure_time_s,
        bad=bad,
        scale=1.0,
        weight=1 / power,
        area=area,
    )


def _check(shapes: Mapping[ExposureId, tuple[int, int]], n_warps: int) -> None:
    if len(set(shapes.values())) > 1:
        named = {str(i): shape for i, shape in shapes.items()}
        raise InvalidExposureError(f"warps of a coadd differ in shape: {named}")
    if len(shapes) < n_warps:
        ids = ", ".join(sorted(map(str, shapes)))
        raise InvalidExposureError(
            f"an exposure is twice among the warps of a coadd of {ids}"
        )


def _scaled(item: StackInput, scale: float) -> StackInput:
    return replace(item, scale=scale, weight=item.weight / scale**2)


def _common_scale(
    inputs: Sequence[StackInput], min_stars: int
) -> dict[ExposureId, float]:
    """Return the factors onto one scale; nothing for what can not be compared."""
    scales = {i.id: 1.0 for i in inputs if i.photometric}
    if not scales and inputs:
        scales[inputs[0].id] = 1.0
    references = [i for i in inputs if i.id in scales]
    # What shares stars with no reference may share some with what does.
    for reference in references:
        pending = [i for i in inputs if i.id not in scales]
        if not pending:
            break
        warp = reference.load().warp
        stars = reference_stars(warp)
        for item in pending:
            ratio = flux_ratio(item.load().warp, warp, stars, min_stars=min_stars)
            if ratio is not None:
                scales[item.id] = scales[reference.id] / ratio
                references.append(item)
    return scales


def _names(planes: MaskPlane) -> str:
    return ", ".join(p.name for p in MaskPlane if p in planes and p.name)
