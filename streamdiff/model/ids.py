"""Names of exposures, templates and DiaSources."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

# A diaSourceId has 63 bits: visit 41, detector 8, rank 14.
VISIT_BITS, DETECTOR_BITS, RANK_BITS = 41, 8, 14


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ExposureId:
    """Which detector image this is.

    Attributes
    ----------
    instrument : str
    visit : int
        In [0, 2^41).
    detector : int
        In [0, 256).
    band : str
        Abstract passband, such as ``r``.

    Raises
    ------
    ValueError
        If a number is out of range, or a name empty.
    """

    instrument: str
    visit: int
    detector: int
    band: str

    def __post_init__(self) -> None:
        for name, bits in (("visit", VISIT_BITS), ("detector", DETECTOR_BITS)):
            value = getattr(self, name)
            if not 0 <= value < 1 << bits:
                raise ValueError(f"{name} must be in [0, 2^{bits}), got {value}")
        if not (self.instrument and self.band):
            raise ValueError("instrument and band must not be empty")

    def __str__(self) -> str:
        return f"{self.instrument}/{self.visit}/{self.detector}/{self.band}"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class TemplateId:
    """Which patch of the sky in which band; versions are counted per id.

    Attributes
    ----------
    name : str
        Flavour of the template, such as ``deep``.
    tract, patch : int
    band : str

    Raises
    ------
    ValueError
        If a part can not be part of the id's text.
    """

    name: str = "deep"
    tract: int
    patch: int
    band: str

    def __post_init__(self) -> None:
        for part in (self.name, self.band):
            if not part or "/" in part or part in {".", ".."}:
                raise ValueError(f"{part!r} can not be part of a template id")
        if self.tract < 0 or self.patch < 0:
            raise ValueError("tract and patch must not be negative")

    def __str__(self) -> str:
        return f"{self.name}/{self.tract}/{self.patch}/{self.band}"

    @classmethod
    def parse(cls, text: str) -> "TemplateId":
        """Return the id that ``str`` gave.

        Raises
        ------
        ValueError
            If the text is no such id.
        """
        try:
            name, tract, patch, band = text.split("/")
            return cls(name=name, tract=int(tract), patch=int(patch), band=band)
        except ValueError as err:
            raise ValueError(f"{text!r} is not name/tract/patch/band") from err


def dia_source_ids(
    exposure: ExposureId, x: ArrayLike, y: ArrayLike
) -> NDArray[np.int64]:
    """Return the ids of the DiaSources of one exposure.

    They do not depend on the order of the positions: the rank is that of the
    rounded y, then the rounded x, then the exact y and x.

    Raises
    ------
    ValueError
        If there are more than 2^14 positions.
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    if x.size > 1 << RANK_BITS:
        raise ValueError(f"{exposure}: {x.size} DiaSources, ids hold {1 << RANK_BITS}")
    order = np.lexsort((x, y, np.rint(x), np.rint(y)))
    rank = np.empty(x.size, np.int64)
    rank[order] = np.arange(x.size)
    base, _ = source_id_range(exposure.visit, exposure.detector)
    ids: NDArray[np.int64] = base + rank
    return ids


def source_id_range(visit: int, detector: int) -> tuple[int, int]:
    """Return the first and the last id that a DiaSource of an exposure may have."""
    first = (visit << DETECTOR_BITS | detector) << RANK_BITS
    return first, first + (1 << RANK_BITS) - 1
