"""A stack of exposures of one patch of the sky."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from streamdiff.errors import InvalidExposureError
from streamdiff.model.aperture_corrections import ApertureCorrections
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
    artifact_map : ndarray of uint8, shape (n_bytes, ny, nx), or None
        Which inputs were clipped at each pixel, in the same way. See `clips`.
    aperture_corrections : ApertureCorrections or None

    Raises
    ------
    InvalidExposureError
        If ``n_image`` or a map have not the shape of the exposure, a map has not a
        bit per input, or a `CoaddPsf` not a component per accepted input.
    """

    exposure: Exposure
    n_image: NDArray[np.int32]
    inputs: tuple[CoaddInput, ...]
    metrics: Mapping[str, float] = field(default_factory=dict)
    input_map: NDArray[np.uint8] | None = None
    artifact_map: NDArray[np.uint8] | None = None
    aperture_corrections: ApertureCorrections | None = None

    def __post_init__(self) -> None:
        shape = freeze_planes(self, int32=("n_image",))
        if shape != self.exposure.shape:
            raise InvalidExposureError(
                f"coadd {self.exposure.id}: n_image is {shape}, "
                f"the image {self.exposure.shape}"
            )
        self._check_psf()
        expected = (-(-len(self.inputs) // _BITS), *shape)
        for name in ("input_map", "artifact_map"):
            bits = getattr(self, name)
            if bits is None:
                continue
            if bits.shape != expected:
                raise InvalidExposureError(
                    f"coadd {self.exposure.id}: the {name} is {bits.shape}, "
                    f"{len(self.inputs)} inputs need {expected}"
                )
            object.__setattr__(self, name, read_only(bits))

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
        return self._bit("input_map", number)

    def clips(self, number: int) -> NDArray[np.bool_]:
        """Return where an input was left out as an artifact; shape (ny, nx).

        Raises
        ------
        ValueError
            If the coadd has no artifact map.
        """
        return self._bit("artifact_map", number)

    def _bit(self, name: str, number: int) -> NDArray[np.bool_]:
        bits = getattr(self, name)
        if bits is None:
            raise ValueError(
                f"coadd {self.exposure.id} has no {name}: the coadder's option "
                f"{name} = true keeps it"
            )
        byte, bit = divmod(number, _BITS)
        shown: NDArray[np.bool_] = (bits[byte] >> bit & 1) > 0
        return shown
