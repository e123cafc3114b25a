"""The warps that a coadd is made of: on one grid and one flux scale, weighted."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from astropy.wcs import WCS

from streamdiff.model import (
    Area,
    CoaddInput,
    Exposure,
    ExposureId,
    MaskPlane,
    Psf,
    PsfComponent,
)
from streamdiff_coadd.layer import Layer

# A strip of a stack takes about so much memory: two planes of float32 of every input,
# and what becomes of them.
_STRIP_BYTES, _BYTES_PER_PIXEL, _FEWEST_ROWS = 2**28, 14, 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StackInput:
    """One warp, and what brings it onto the scale of the coadd.

    Attributes
    ----------
    warps : sequence of Exposure
        All warps, of which each is loaded when it is taken.
    number : int
        Which of them this is.
    id : ExposureId
    psf : Psf
    photometric : bool
    exposure_time_s : float
    bad : MaskPlane
        Planes whose pixels do not count, NO_DATA among them.
    scale : float
        Factor that the image is to be multiplied by.
    weight : float
        1 / noise power of the scaled image in blank sky.
    area : Area
        Where there are usable pixels.
    """

    warps: Sequence[Exposure]
    number: int
    id: ExposureId
    psf: Psf
    photometric: bool
    exposure_time_s: float
    bad: MaskPlane
    scale: float
    weight: float
    area: Area

    def load(self) -> Layer:
        """Return the pixels; let go of them soon."""
        return Layer(warp=self.warps[self.number], scale=self.scale, bad=self.bad)

    @property
    def psf_component(self) -> PsfComponent:
        """Return what the input adds to the PSF of the coadd."""
        return PsfComponent(psf=self.psf, weight=self.weight, area=self.area)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stack:
    """What is to be coadded, and what is not.

    Attributes
    ----------
    inputs : tuple of StackInput
    shape : tuple of int
        (height, width).
    wcs : astropy.wcs.WCS
    ids : tuple of ExposureId
        Of all warps, in their order.
    rejected : mapping of ExposureId to str
        Why an exposure does not take part.
    photometric : bool
        Whether the common flux scale is in nJy.
    """

    inputs: tuple[StackInput, ...]
    shape: tuple[int, int]
    wcs: WCS
    ids: tuple[ExposureId, ...]
    rejected: Mapping[ExposureId, str]
    photometric: bool

    def strips(self) -> Iterator[slice]:
        """Yield the rows in strips, as high as memory for all inputs allows."""
        height, width = self.shape
        per_row = max(len(self.inputs), 1) * width * _BYTES_PER_PIXEL
        rows = max(_STRIP_BYTES // per_row, _FEWEST_ROWS)
        for start in range(0, height, rows):
            yield slice(start, min(start + rows, height))

    def report(self) -> tuple[CoaddInput, ...]:
        """Return what became of each warp, in their order."""
        total = sum(i.weight for i in self.inputs)
        weights = {i.id: i.weight / total for i in self.inputs}
        areas = {i.id: i.area for i in self.inputs}
        return tuple(
            CoaddInput(
                id=i,
                weight=weights.get(i, 0.0),
                accepted=i in weights,
                reason=self.rejected.get(i),
                area=areas.get(i),
            )
            for i in self.ids
        )
