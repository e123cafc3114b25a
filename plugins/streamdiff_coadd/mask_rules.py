"""Which mask planes of its inputs a coadd inherits."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamdiff.model import MaskPlane

# That a pixel was at the edge of a detector is told by a plane of its own.
_TRANSLATED = MaskPlane.EDGE


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskRules:
    """What becomes of the planes of inputs.

    Attributes
    ----------
    propagate : mapping of MaskPlane to float
        A pixel is of this plane if more than this part of its weight was lost to it.
    drop : MaskPlane
        Planes that the coadd does not inherit.
    """

    propagate: Mapping[MaskPlane, float]
    drop: MaskPlane

    def inherited(self, mask: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return what the coadd inherits of the mask of pixels that count."""
        return mask & ~np.int32(self.drop | _TRANSLATED)
