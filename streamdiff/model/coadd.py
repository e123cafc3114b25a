"""A stack of exposures of one patch of the sky."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from streamdiff.errors import InvalidExposureError
from streamdiff.model.area import Area
from streamdiff.model.coadd_psf import CoaddPsf
from streamdiff.model.exposure import Exposure
from streamdiff.model.ids import ExposureId
from streamdiff.model.planes import freeze_planes, read_only

_BITS = 8


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
    area : Area or None
        Where it has usable pixels, on those of the coadd; `None` if unknown.
    """

    id: ExposureId
    weight: float
    accepted: bool = True
    reason: str | None = None
    area: Area | None = None


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
    input_map : ndarray of uint8, shape (n_bytes, ny, nx), or None
        Which inputs contribute to each pixel: bit i % 8 of byte i // 8 stands for
        input i. See `uses`.

    Raises
    ------
    InvalidExposureError
        If ``n_image`` or ``input_map`` have not the shape of the exposure, the map
        has not a bit per input, or a `CoaddPsf` not a component per accepted input.

    Notes
    -----
    There is no map of aperture corrections: a PSF sums to 1, and fluxes measured
    with it are those of whole stars.
    """

    exposure: Exposure
    n_image: NDArray[np.int32]
    inputs: tuple[CoaddInput, ...]
    metrics: Mapping[str, float] = field(default_factory=dict)
    input_map: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        shape = freeze_planes(self, int32=("n_image",))
        if shape != self.exposure.shape:
            raise InvalidExposureError(
                f"coadd {self.exposure.id}: n_image is {shape}, "
                f"the image {self.exposure.shape}"
            )
        self._check_psf()
        if self.input_map is None:
            return
        expected = (-(-len(self.inputs) // _BITS), *shape)
        if self.input_map.shape != expected:
            raise InvalidExposureError(
                f"coadd {self.exposure.id}: the input map is {self.input_map.shape}, "
                f"{len(self.inputs)} inputs need {expected}"
            )
        object.__setattr__(self, "input_map", read_only(self.input_map))

    def _check_psf(self) -> None:
        psf = self.exposure.psf
        n_accepted = sum(item.accepted for item in self.inputs)
        if isinstance(psf, CoaddPsf) and len(psf.components) != n_accepted:
            raise InvalidExposureError(
                f"coadd {self.exposure.id}: the PSF has {len(psf.components)} "
                f"components for {n_accepted} accepted inputs"
            )

    def uses(self, number: int) -> NDArray[np.bool_]:
        """Return where an input contributes; shape (ny, nx).

        Raises
        ------
        ValueError
            If the coadd has no input map.
        """
        if self.input_map is None:
            raise ValueError(
                f"coadd {self.exposure.id} has no input map: set input_map = true"
            )
        byte, bit = divmod(number, _BITS)
        used: NDArray[np.bool_] = (self.input_map[byte] >> bit & 1) > 0
        return used
