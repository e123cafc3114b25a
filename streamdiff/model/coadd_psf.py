"""The PSF of a coadd: at every position, the mean of those of the inputs there."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from streamdiff.errors import InvalidExposureError
from streamdiff.model.area import Area
from streamdiff.model.psf import ConstantPsf, Psf, nearest_pixel, shift_stamp


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PsfComponent:
    """The PSF of one input of a coadd.

    Attributes
    ----------
    psf : Psf
        On the pixels of the coadd.
    weight : float
        Of the input, positive, in any unit.
    area : Area
        Where the input has data.
    """

    psf: Psf
    weight: float
    area: Area


@dataclass(frozen=True, eq=False)
class CoaddPsf:
    """The weighted mean of the PSFs of the inputs that have data at a position.

    It changes in a step where an input ends, as the PSF of a coadd does. Single
    pixels that an input lacks do not count: see `MaskPlane.INEXACT_PSF`. Where no
    input has data, it is that of the nearest.

    Attributes
    ----------
    components : tuple of PsfComponent

    Raises
    ------
    InvalidExposureError
        If there are none, or a weight is not positive.
    """

    components: tuple[PsfComponent, ...]

    def __post_init__(self) -> None:
        weights = [component.weight for component in self.components]
        if not weights or not (np.isfinite(weights).all() and min(weights) > 0):
            raise InvalidExposureError(
                f"the PSF of a coadd needs inputs of positive weight, got {weights}"
            )

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Return the odd sides (ky, kx) of every stamp."""
        ky, kx = np.max([c.psf.shape for c in self.components], axis=0).tolist()
        return ky, kx

    def centred_at(self, x: float, y: float) -> NDArray[np.float64]:
        """Return the PSF at (x, y), centred on the middle pixel of its stamp."""
        shares = self.shares_at(np.array([x]), np.array([y]))[:, 0]
        total = np.zeros(self.shape)
        for component, share in zip(self.components, shares.tolist(), strict=True):
            if share:
                stamp = component.psf.centred_at(x, y)
                total[_middle(total.shape, stamp.shape)] += share * stamp
        return total

    def shares_at(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the share of each component at positions; shape (n_components, n)."""
        beyond = np.array([c.area.beyond_each(x, y) for c in self.components])
        weights = np.array([[component.weight] for component in self.components])
        counted = np.where(beyond <= np.maximum(beyond.min(axis=0), 0.0), weights, 0.0)
        shares: NDArray[np.float64] = counted / counted.sum(axis=0)
        return shares

    def at(self, x: float, y: float) -> NDArray[np.float64]:
        """Return the PSF of a star at (x, y), on whole image pixels."""
        column, row = nearest_pixel(x, y)
        return shift_stamp(self.centred_at(x, y), x - column, y - row)


def coadd_psf(
    components: Sequence[PsfComponent], image_shape: tuple[int, int]
) -> ConstantPsf | CoaddPsf:
    """Return the PSF of a coadd, constant where nothing makes it vary.

    Parameters
    ----------
    components : sequence of PsfComponent
        At least one.
    image_shape : tuple of int
        (height, width) of the coadd.
    """
    psf = CoaddPsf(tuple(components))
    constant = all(isinstance(c.psf, ConstantPsf) for c in components)
    height, width = image_shape
    corners = [(x, y) for x in (0, width - 1) for y in (0, height - 1)]
    whole = all(c.area.beyond(*corner) <= 0 for c in components for corner in corners)
    return ConstantPsf(psf.centred_at(0, 0)) if constant and whole else psf


def _middle(outer: tuple[int, ...], inner: tuple[int, ...]) -> tuple[slice, slice]:
    """Return where a stamp of odd sides lies in the middle of a larger one."""
    top, left = ((n - m) // 2 for n, m in zip(outer, inner, strict=True))
    return slice(top, top + inner[0]), slice(left, left + inner[1])
