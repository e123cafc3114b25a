"""Coadds in memory, so that a visit need not load what the last one used."""

from collections import OrderedDict
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from streamdiff.model import (
    Coadd,
    CoaddPsf,
    ConstantPsf,
    GridPsf,
    Psf,
    TemplateId,
)


class CoaddCache:
    """The coadds used last, as many as a number of bytes holds.

    Parameters
    ----------
    max_bytes : int
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._coadds: OrderedDict[tuple[TemplateId, int], Coadd] = OrderedDict()

    def get(self, key: tuple[TemplateId, int]) -> Coadd | None:
        """Return a coadd, if it is here."""
        if key not in self._coadds:
            return None
        self._coadds.move_to_end(key)
        return self._coadds[key]

    def put(self, key: tuple[TemplateId, int], coadd: Coadd) -> None:
        """Keep a coadd, and drop others to make room for it."""
        self._coadds[key] = coadd
        while sum(map(_size, self._coadds.values())) > self._max_bytes:
            self._coadds.popitem(last=False)


def _size(coadd: Coadd) -> int:
    exposure = coadd.exposure
    planes = [
        exposure.image,
        exposure.variance,
        exposure.mask,
        exposure.covariance_factor,
        coadd.n_image,
        coadd.input_map,
        coadd.artifact_map,
        *_stamps(exposure.psf),
    ]
    return sum(getattr(plane, "nbytes", 0) for plane in planes)


def _stamps(psf: Psf) -> Iterator[NDArray[np.float64]]:
    if isinstance(psf, CoaddPsf):
        for component in psf.components:
            yield from _stamps(component.psf)
    elif isinstance(psf, GridPsf):
        yield psf.stamps
    elif isinstance(psf, ConstantPsf):
        yield psf.stamp
