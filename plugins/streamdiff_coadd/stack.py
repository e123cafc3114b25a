"""The warps that a coadd is made of: on one grid and one flux scale, weighted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from streamdiff.errors import InvalidExposureError
from streamdiff.imaging.flux_ratio import flux_ratio, reference_stars
from streamdiff.imaging.noise import typical_variance
from streamdiff.model import (
    CoaddInput,
    Exposure,
    ExposureId,
    MaskPlane,
    Psf,
    TemplateId,
)


class Scale(StrEnum):
    """What is done about inputs without a zero point."""

    AUTO = "auto"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StackInput:
    """One warp, with what brings it onto the scale of the coadd.

    Attributes
    ----------
    warp : Exposure
    scale : float
        Factor that the image is to be multiplied by.
    weight : float
        1 / noise power of the scaled image in blank sky.
    usable : ndarray of bool, shape (ny, nx)
        Whether a pixel has data and is of none of the excluded planes.
    """

    warp: Exposure
    scale: float
    weight: float
    usable: NDArray[np.bool_]

    @property
    def id(self) -> ExposureId:
        """Return which exposure this is."""
        return exposure_id(self.warp)

    @property
    def psf(self) -> Psf:
        """Return the PSF of the warp."""
        return self.warp.psf

    def image(self, rows: slice = slice(None)) -> NDArray[np.float32]:
        """Return the scaled image, some rows of it."""
        return self.warp.image[rows] * np.float32(self.scale)

    def variance(self, rows: slice = slice(None)) -> NDArray[np.float32]:
        """Return the variance of the scaled image, some rows of it."""
        return self.warp.variance[rows] * np.float32(self.scale**2)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stack:
    """What is to be coadded, and what is not.

    Attributes
    ----------
    inputs : tuple of StackInput
    rejected : mapping of ExposureId to str
        Why an exposure does not take part.
    photometric : bool
        Whether the common flux scale is in nJy.
    """

    inputs: tuple[StackInput, ...]
    rejected: Mapping[ExposureId, str]
    photometric: bool

    def report(self, warps: Sequence[Exposure]) -> tuple[CoaddInput, ...]:
        """Return what became of each warp, in their order."""
        total = sum(i.weight for i in self.inputs)
        weights = {i.id: i.weight / total for i in self.inputs}
        ids = [exposure_id(warp) for warp in warps]
        return tuple(
            CoaddInput(
                id=i,
                weight=weights.get(i, 0.0),
                accepted=i in weights,
                reason=self.rejected.get(i),
            )
            for i in ids
        )


def exposure_id(warp: Exposure) -> ExposureId:
    """Return the id of a warp.

    Raises
    ------
    InvalidExposureError
        If it is the warp of a template.
    """
    if isinstance(warp.id, TemplateId):
        raise InvalidExposureError(f"{warp.id} is a template: coadd exposures instead")
    return warp.id


def make_stack(
    warps: Sequence[Exposure], *, bad: MaskPlane, scale: Scale, min_stars: int
) -> Stack:
    """Return warps on one flux scale, weighted.

    Parameters
    ----------
    warps : sequence of Exposure
        All on the same pixels.
    bad : MaskPlane
        Planes whose pixels do not count.
    scale : Scale
        With ``auto``, warps that are not photometric are put on the scale of one
        that is, else of the first; those that share too few stars with any other
        are rejected.
    min_stars : int
        How many stars two warps must share.

    Raises
    ------
    InvalidExposureError
        If shapes differ, or an exposure comes twice.
    """
    _check(warps)
    offered = [_as_input(warp, bad) for warp in warps]
    rejected = {
        i.id: f"no usable pixel: all are without data or {_names(bad)}"
        for i in offered
        if not (np.isfinite(i.weight) and i.weight > 0)
    }
    inputs = [i for i in offered if i.id not in rejected]
    photometric = any(i.warp.photometric for i in inputs)
    if scale is Scale.AUTO:
        scales = _common_scale(inputs, photometric, min_stars)
        rejected |= {
            i.id: f"fewer than {min_stars} stars in common with the other exposures"
            for i in inputs
            if i.id not in scales
        }
        inputs = [_scaled(i, scales[i.id]) for i in inputs if i.id in scales]
    else:
        photometric = all(i.warp.photometric for i in inputs)
    return Stack(inputs=tuple(inputs), rejected=rejected, photometric=photometric)


def _check(warps: Sequence[Exposure]) -> None:
    shapes = {str(warp.id): warp.shape for warp in warps}
    if len(set(shapes.values())) > 1:
        raise InvalidExposureError(f"warps of a coadd differ in shape: {shapes}")
    if len(shapes) < len(warps):
        raise InvalidExposureError(
            f"an exposure is twice among the warps of a coadd: {sorted(shapes)}"
        )


def _as_input(warp: Exposure, bad: MaskPlane) -> StackInput:
    usable = warp.usable(bad | MaskPlane.NO_DATA) & np.isfinite(warp.image)
    usable &= np.isfinite(warp.variance) & (warp.variance > 0)
    noise = typical_variance(warp.variance, usable)
    factor = np.broadcast_to(np.float32(warp.covariance_factor), warp.shape)
    power = noise * float(factor[usable].mean(dtype=float)) if usable.any() else np.nan
    return StackInput(warp=warp, scale=1.0, weight=1 / power, usable=usable)


def _scaled(item: StackInput, scale: float) -> StackInput:
    return replace(item, scale=scale, weight=item.weight / scale**2)


def _common_scale(
    inputs: Sequence[StackInput], photometric: bool, min_stars: int
) -> dict[ExposureId, float]:
    """Return the factors onto one scale; nothing for what can not be compared."""
    scales = {i.id: 1.0 for i in inputs if i.warp.photometric}
    if not photometric and inputs:
        scales[inputs[0].id] = 1.0
    references = [i for i in inputs if i.id in scales]
    # What shares stars with no reference may share some with what does.
    for reference in references:
        pending = [i for i in inputs if i.id not in scales]
        if not pending:
            break
        stars = reference_stars(reference.warp)
        for item in pending:
            ratio = flux_ratio(item.warp, reference.warp, stars, min_stars=min_stars)
            if ratio is not None:
                scales[item.id] = scales[reference.id] / ratio
                references.append(item)
    return scales


def _names(planes: MaskPlane) -> str:
    return ", ".join(p.name for p in MaskPlane if p in planes and p.name)
