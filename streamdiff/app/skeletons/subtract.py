"""Subtraction without matching the PSFs: a beginning."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Gt

from streamdiff.hookspecs import hookimpl
from streamdiff.imaging.comparable import check_comparable, no_common_pixel
from streamdiff.model import (
    UNUSABLE,
    Convolved,
    Difference,
    Exposure,
    FluxScale,
    MaskPlane,
    Noise,
    Skip,
)
from streamdiff.stages import Subtractor


@dataclass(frozen=True, slots=True, kw_only=True)
class Mine:
    """Science image minus a scaled template.

    Attributes
    ----------
    flux_ratio : float
        Flux of a star in the science image over that in the template.
    """

    flux_ratio: Annotated[float, Gt(0)] = 1.0

    def subtract(self, science: Exposure, template: Exposure) -> Difference | Skip:
        """Return the difference of two exposures on the same pixels."""
        check_comparable(science, template)
        mask = science.mask | template.mask
        if not (~UNUSABLE.in_mask(mask)).any():
            return no_common_pixel(science)
        no_data = MaskPlane.NO_DATA.in_mask(mask)
        no_data |= ~np.isfinite(science.image) | ~np.isfinite(template.image)
        mask = np.where(no_data, mask | np.int32(MaskPlane.NO_DATA), mask)
        scale = np.float32(self.flux_ratio)
        image = science.image - scale * template.image
        variance = science.variance + scale**2 * template.variance
        return Difference(
            id=science.exposure_id,
            wcs=science.wcs,
            psf=science.psf,
            photometric=science.photometric,
            image=np.where(no_data, np.float32(0), image),
            variance=np.where(no_data, np.float32(np.inf), variance),
            mask=mask,
            flux_scale=FluxScale.SCIENCE,
            kernel_sum=self.flux_ratio,
            convolved=Convolved.NONE,
            noise=Noise.WHITE,
        )


@hookimpl
def streamdiff_subtractors() -> Mapping[str, Callable[..., Subtractor]]:
    """Offer ``mine``."""
    return {"mine": Mine}
