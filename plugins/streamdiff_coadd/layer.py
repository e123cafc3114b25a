"""The pixels of one input of a coadd."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.mapped_pages import let_go_of_pages
from streamdiff.model import Exposure, MaskPlane

# Rows and columns of an image.
Box = tuple[slice, slice]
WHOLE: Box = (slice(None), slice(None))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layer:
    """The pixels of one input, on the scale of the coadd.

    Attributes
    ----------
    warp : Exposure
    scale : float
        Factor that the image is to be multiplied by.
    bad : MaskPlane
        Planes whose pixels do not count, NO_DATA among them.
    """

    warp: Exposure
    scale: float
    bad: MaskPlane

    def image(self, box: Box = WHOLE) -> NDArray[np.float32]:
        """Return the scaled image in a box."""
        return self.warp.image[box] * np.float32(self.scale)

    def variance(self, box: Box = WHOLE) -> NDArray[np.float32]:
        """Return the variance of the scaled image in a box."""
        return self.warp.variance[box] * np.float32(self.scale**2)

    def usable(self, box: Box = WHOLE) -> NDArray[np.bool_]:
        """Return whether a pixel has data and is of no excluded plane."""
        usable = ~self.bad.in_mask(self.warp.mask[box])
        variance = self.warp.variance[box]
        usable &= np.isfinite(self.warp.image[box])
        usable &= np.isfinite(variance) & (variance > 0)
        return usable

    def covariance_factor(self, box: Box = WHOLE) -> NDArray[np.float32] | np.float32:
        """Return the noise power over the variance in a box."""
        factor = self.warp.covariance_factor
        return factor[box] if isinstance(factor, np.ndarray) else np.float32(factor)

    def let_go(self) -> None:
        """Let go of what has been read of a warp that lies in a file."""
        warp = self.warp
        factor = np.asarray(warp.covariance_factor)
        let_go_of_pages(warp.image, warp.variance, warp.mask, factor)
