"""A stack of exposures of one patch of the sky."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from streamdiff.errors import InvalidExposureError
from streamdiff.model.exposure import Exposure
from streamdiff.model.ids import ExposureId
from streamdiff.model.planes import freeze_planes


@dataclass(frozen=True, slots=True, kw_only=True)
class CoaddInput:
    """What became of one exposure offered to a coadd.

    Attributes
    ----------
    id : ExposureId
    weight : float
        Weight relative to the sum over all accepted inputs, in [0, 1].
    accepted : bool
    reason : str or None
        Why it was not accepted.
    """

    id: ExposureId
    weight: float
    accepted: bool = True
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Coadd:
    """A coadded template, and what went into it.

    Attributes
    ----------
    exposure : Exposure
        Its id is the template's; PSF, variance and covariance factor are those
        of the weighted mean.
    n_image : ndarray of int32, shape (ny, nx)
        Number of inputs that contribute to each pixel.
    inputs : tuple of CoaddInput
    metrics : mapping of str to float

    Raises
    ------
    InvalidExposureError
        If ``n_image`` has not the shape of the exposure.
    """

    exposure: Exposure
    n_image: NDArray[np.int32]
    inputs: tuple[CoaddInput, ...]
    metrics: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = freeze_planes(self, int32=("n_image",))
        if shape != self.exposure.shape:
            raise InvalidExposureError(
                f"coadd {self.exposure.id}: n_image is {shape}, "
                f"the image {self.exposure.shape}"
            )
