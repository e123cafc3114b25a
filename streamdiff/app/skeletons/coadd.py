"""The mean of all usable pixels: a beginning."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from annotated_types import Ge

from streamdiff.hookspecs import hookimpl
from streamdiff.imaging.outline import convex_hull
from streamdiff.model import (
    UNUSABLE,
    Coadd,
    CoaddInput,
    CoaddPsf,
    Exposure,
    MaskPlane,
    PsfComponent,
    Reason,
    Skip,
    TemplateId,
)
from streamdiff.stages import Coadder


@dataclass(frozen=True, slots=True, kw_only=True)
class Mine:
    """Takes the mean, every warp with the same weight.

    Attributes
    ----------
    min_inputs : int
        Fewer warps with data make no coadd.
    """

    min_inputs: Annotated[int, Ge(1)] = 1

    def coadd(self, template_id: TemplateId, warps: Sequence[Exposure]) -> Coadd | Skip:
        """Return the coadd of exposures that are all on the same pixels."""
        with_data = [_usable(warp).any() for warp in warps]
        n = sum(with_data)
        if n < max(self.min_inputs, 1):
            return Skip(Reason.INSUFFICIENT_EPOCHS, f"{template_id}: {n} with data")
        used = [warp for warp, has in zip(warps, with_data, strict=True) if has]
        good = np.array([_usable(warp) for warp in used])
        n_image = good.sum(axis=0)
        empty, parts = n_image == 0, np.maximum(n_image, 1)
        image = sum(np.where(g, w.image, 0) for g, w in zip(good, used, strict=True))
        variance = sum(
            np.where(g, w.variance, 0) for g, w in zip(good, used, strict=True)
        )
        exposure = replace(
            used[0],
            id=template_id,
            image=np.where(empty, 0, image / parts),
            variance=np.where(empty, np.inf, variance / parts**2),
            mask=np.where(empty, np.int32(MaskPlane.NO_DATA), 0),
            psf=CoaddPsf(tuple(map(_component, used))),
            midpoint_mjd_tai=np.nan,
            exposure_time_s=np.nan,
            covariance_factor=float(
                np.mean([np.mean(w.covariance_factor) for w in used])
            ),
            stars=None,
        )
        inputs = tuple(
            CoaddInput(
                id=warp.exposure_id,
                weight=1 / n if has else 0.0,
                accepted=bool(has),
                reason=None if has else "it has no data",
            )
            for warp, has in zip(warps, with_data, strict=True)
        )
        return Coadd(exposure=exposure, n_image=n_image, inputs=inputs)


def _factor(warp: Exposure) -> float:
    return float(np.mean(warp.covariance_factor))


def _usable(warp: Exposure) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    return ~UNUSABLE.in_mask(warp.mask) & np.isfinite(warp.image)


def _component(warp: Exposure) -> PsfComponent:
    area = convex_hull(_usable(warp))
    assert area is not None  # noqa: S101 - for the type checker: it has data
    return PsfComponent(psf=warp.psf, weight=1.0, area=area)


@hookimpl
def streamdiff_coadders() -> Mapping[str, Callable[..., Coadder]]:
    """Offer ``mine``."""
    return {"mine": Mine}
