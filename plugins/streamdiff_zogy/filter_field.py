"""The filters of proper subtraction as a function of the position."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.stamps import pad_stamp
from streamdiff.model import ConstantPsf, GridPsf, Psf
from streamdiff_zogy.filters import (
    ProperFilters,
    fast_odd_side,
    stamp_of,
    transform_centred,
)
from streamdiff_zogy.noise_levels import NoiseLevels

# The filters reach farther than the PSFs that they are made of.
_GRID_PER_PSF, _MIN_GRID = 3, 65
# What may be cut off a filter, as a part of the sum of its squares.
_CUT_POWER = 1e-6
# What may be cut off the PSF of the difference: a part of its sum.
_CUT = 3e-4
# Nodes of the PSF of the difference along each axis, where it varies.
_PSF_NODES = 7


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FilterStamps:
    """Filters as images, shape (side, side), each centred on its middle pixel.

    Attributes
    ----------
    science, template : ndarray of float64
        K_n and K_r, which make the difference.
    science_score, template_score : ndarray of float64
        What makes the score from the same images.
    psf : ndarray of float64
        PSF of the difference.
    """

    science: NDArray[np.float64]
    template: NDArray[np.float64]
    science_score: NDArray[np.float64]
    template_score: NDArray[np.float64]
    psf: NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class FilterField:
    """What the filters are made of.

    Attributes
    ----------
    science_psf, template_psf : Psf
    noise : NoiseLevels
    flux_ratio : float
        Flux of a star in the science image over that in the template.
    image_shape : tuple of int
        (height, width) of the images.
    is_constant : bool
        Whether the filters of the middle of the image serve everywhere.
    """

    science_psf: Psf
    template_psf: Psf
    noise: NoiseLevels
    flux_ratio: float
    image_shape: tuple[int, int]
    is_constant: bool

    @property
    def centre(self) -> tuple[float, float]:
        """Return the position (x, y) of the middle of the image."""
        height, width = self.image_shape
        return (width - 1) / 2, (height - 1) / 2

    def at(self, x: float, y: float, shape: tuple[int, int]) -> ProperFilters:
        """Return the transforms of the filters at a position, in single precision.

        Parameters
        ----------
        x, y : float
        shape : tuple of int
            (height, width) of the grid of the transforms.
        """
        return self._filters(x, y, shape, np.float32)

    def stamps(self, x: float, y: float) -> FilterStamps:
        """Return the filters at a position as images."""
        filters = self._filters(x, y, (self.side, self.side), np.float64)
        scored = filters.of_score()
        return FilterStamps(
            science=stamp_of(filters.science, self.side),
            template=stamp_of(filters.template, self.side),
            science_score=stamp_of(scored.science, self.side),
            template_score=stamp_of(scored.template, self.side),
            psf=stamp_of(filters.psf, self.side),
        )

    def _filters(
        self, x: float, y: float, shape: tuple[int, int], dtype: type
    ) -> ProperFilters:
        science, template = (
            transform_centred(psf.centred_at(x, y).astype(dtype), shape)
            for psf in (self.science_psf, self.template_psf)
        )
        ratio = self.noise.ratio_at(x, y)
        return ProperFilters.of(
            science,
            template,
            science_share=ratio / (ratio + self.flux_ratio**2),
            flux_ratio=self.flux_ratio,
        )

    @cached_property
    def side(self) -> int:
        """Return the odd side of the squares that hold any filter [pixel]."""
        shapes = *self.science_psf.shape, *self.template_psf.shape
        return fast_odd_side(max(_GRID_PER_PSF * max(shapes), _MIN_GRID))

    @cached_property
    def at_centre(self) -> FilterStamps:
        """Return the filters of the middle of the image."""
        return self.stamps(*self.centre)

    @cached_property
    def reach(self) -> int:
        """Return how far filters reach [pixel], but for a little of their power."""
        filters = self.at_centre
        reach = max(
            _reach(np.square(f), _CUT_POWER)
            for f in (filters.science, filters.template)
        )
        shapes = *self.science_psf.shape, *self.template_psf.shape
        return max(reach, max(shapes) // 2, 1)

    @cached_property
    def psf(self) -> Psf:
        """Return the PSF of the difference."""
        if self.is_constant:
            return ConstantPsf(_trimmed(self.at_centre.psf))
        y_nodes, x_nodes = (
            np.linspace(0, max(n - 1, 1), _PSF_NODES) for n in self.image_shape
        )
        stamps = np.array([[self._psf_at(u, v) for u in x_nodes] for v in y_nodes])
        return GridPsf(stamps=_trimmed(stamps), x=x_nodes, y=y_nodes)

    def _psf_at(self, x: float, y: float) -> NDArray[np.float64]:
        filters = self._filters(x, y, (self.side, self.side), np.float64)
        return stamp_of(filters.psf, self.side)


def middle(stamps: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Return the middles, of odd side, of stamps, or stamps with zeros around them."""
    cut = (stamps.shape[-1] - side) // 2
    if cut < 0:
        return pad_stamp(stamps, (side, side))
    return stamps[..., cut : cut + side, cut : cut + side]


def _reach(size: NDArray[np.float64], cut: float) -> int:
    """Return half the side of the square that holds nearly all of a stamp."""
    y, x = np.indices(size.shape) - size.shape[0] // 2
    radius = np.maximum(np.abs(y), np.abs(x))
    held = np.cumsum(np.bincount(radius.ravel(), weights=size.ravel()))
    return int(np.searchsorted(held, (1 - cut) * held[-1]))


def _trimmed(stamps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return stamps, shape (..., side, side), without borders that hold nothing."""
    side = stamps.shape[-1]
    size = np.abs(stamps).reshape(-1, side, side).max(axis=0)
    return middle(stamps, 2 * _reach(size, _CUT) + 1)
