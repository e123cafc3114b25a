"""The mean of bright stars: a beginning."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt

from streamdiff.errors import InvalidExposureError
from streamdiff.hookspecs import hookimpl
from streamdiff.imaging.stars import find_stars
from streamdiff.model import UNUSABLE, ConstantPsf, Exposure, Psf
from streamdiff.model.psf import nearest_pixel, shift_stamp
from streamdiff.stages import PsfEstimator


@dataclass(frozen=True, slots=True, kw_only=True)
class Mine:
    """Stacks bright stars without neighbours.

    Attributes
    ----------
    half_side : int
        Columns and rows on either side of a star [pixel].
    min_snr : float
        Least signal-to-noise ratio of a star.
    """

    half_side: Annotated[int, Ge(2)] = 9
    min_snr: Annotated[float, Gt(0)] = 50.0

    def estimate(self, exposure: Exposure) -> Psf:
        """Return the PSF of an exposure, the same everywhere.

        Raises
        ------
        InvalidExposureError
            If there is no star to tell.
        """
        stars = find_stars(exposure, threshold=self.min_snr, keep_blended=False)
        good = ~UNUSABLE.in_mask(exposure.mask) & np.isfinite(exposure.image)
        half = self.half_side
        stamps = []
        for x, y in zip(stars.x.tolist(), stars.y.tolist(), strict=True):
            column, row = nearest_pixel(x, y)
            height, width = exposure.shape
            if not (half <= row < height - half and half <= column < width - half):
                continue
            here = (
                slice(row - half, row + half + 1),
                slice(column - half, column + half + 1),
            )
            if good[here].all():
                stamp = exposure.image[here].astype(float)
                centred = shift_stamp(stamp, column - x, row - y)
                stamps.append(centred / centred[2:-2, 2:-2].sum())
        if not stamps:
            raise InvalidExposureError(
                f"{exposure.id}: no star above S/N {self.min_snr:g} stands alone"
            )
        # Neighbours that were not seen spoil few stars at any one pixel.
        stack = np.median(stamps, axis=0)
        return ConstantPsf(np.where(stack > 0, stack, 0))


@hookimpl
def streamdiff_psf_estimators() -> Mapping[str, Callable[..., PsfEstimator]]:
    """Offer ``mine``."""
    return {"mine": Mine}
