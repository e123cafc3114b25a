"""The filter that whitens the noise of a difference: DMTN-021, Reiss & Lupton 2016.

A difference is the sum of one image as it was, with noise power u, and one that was
convolved with a kernel of unit sum and transform kappa, with noise power c, both on
the flux scale of the difference. The power of its noise is u + c |kappa|^2; the filter

    psi = sqrt((u + c) / (u + c |kappa|^2))

makes it u + c at all frequencies. Since kappa is 1 at frequency 0, so is psi: fluxes
are kept. With science variance s, template variance t, and a kernel of sum K that
convolves the template, u = s and c = K^2 t give the DMTN's formula; a convolved
science image, or a difference that was divided by K, only change u and c.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from streamdiff.imaging.convolve import convolve, convolve_varying
from streamdiff.model import MatchingKernel

# What may be cut off a filter: this part of the sum of its absolute values.
_CUT = 1e-3
# The filter reaches farther than the kernel where the convolved image is the noisier.
_GRID_PER_KERNEL, _MIN_GRID = 4, 65
# The image and a variance plane are convolved with filters at the same positions.
_KEPT_POSITIONS = 8192


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SpatialFilter:
    """A filter that may vary over an image.

    Attributes
    ----------
    at : callable
        The filter at the position (x, y) [pixel]; it sums to 1.
    shape : tuple of int
        Its odd sides (ky, kx), the same everywhere.
    is_constant : bool
        Whether it is the same everywhere.
    """

    at: Callable[[float, float], NDArray[np.float64]]
    shape: tuple[int, int]
    is_constant: bool

    def convolve(
        self, plane: NDArray[np.float32], *, power: int = 1
    ) -> NDArray[np.float32]:
        """Return a plane convolved with a power of the filter.

        The plane is finite; its mirror image continues it beyond the border.
        """
        if self.is_constant:
            return convolve(plane, self.at(0, 0) ** power, border="mirror")

        def kernel_at(x: float, y: float) -> NDArray[np.float64]:
            kernel: NDArray[np.float64] = self.at(x, y) ** power
            return kernel

        return convolve_varying(plane, kernel_at, self.shape, border="mirror")


@dataclass(frozen=True, eq=False, kw_only=True)
class Whitening:
    """The whitening filter of one difference, as a function of position.

    Attributes
    ----------
    matching_kernel : MatchingKernel
        Kernel of the convolved image; its sum does not matter.
    noise_ratio : float
        c / u: noise power of the image that was convolved, before it was, over
        that of the other one, both on the flux scale of the difference.
    """

    matching_kernel: MatchingKernel
    noise_ratio: float

    @cached_property
    def filter(self) -> SpatialFilter:
        """Return psi."""
        height, width = self.matching_kernel.image_shape
        centre = self._kappa((width - 1) / 2, (height - 1) / 2)
        side = 2 * _reach(_stamp(_psi(centre, self.noise_ratio))) + 1

        def at(x: float, y: float) -> NDArray[np.float64]:
            psi = _psi(self._kappa(x, y), self.noise_ratio)
            return _cropped(_stamp(psi), (side, side))

        return self._spatial(at, (side, side))

    @cached_property
    def matched_filter(self) -> SpatialFilter:
        """Return psi convolved with the matching kernel."""
        (height, width), (ky, kx) = self.filter.shape, self.matching_kernel.shape
        shape = min(height + ky - 1, self._grid), min(width + kx - 1, self._grid)

        def at(x: float, y: float) -> NDArray[np.float64]:
            kappa = self._kappa(x, y)
            return _cropped(_stamp(_psi(kappa, self.noise_ratio) * kappa), shape)

        return self._spatial(at, shape)

    def _spatial(
        self,
        at: Callable[[float, float], NDArray[np.float64]],
        shape: tuple[int, int],
    ) -> SpatialFilter:
        return SpatialFilter(
            at=lru_cache(_KEPT_POSITIONS)(at),
            shape=shape,
            is_constant=self.matching_kernel.order == 0,
        )

    @property
    def _grid(self) -> int:
        return max(_GRID_PER_KERNEL * max(self.matching_kernel.shape) + 1, _MIN_GRID)

    def _kappa(self, x: float, y: float) -> NDArray[np.complex128]:
        """Return the transform of the kernel, made to sum to 1."""
        kernel = self.matching_kernel.at(x, y)
        ky, kx = kernel.shape
        grid = np.zeros((self._grid, self._grid))
        grid[:ky, :kx] = kernel / kernel.sum()
        kappa: NDArray[np.complex128] = fft.rfft2(
            np.roll(grid, (-(ky // 2), -(kx // 2)), axis=(0, 1))
        )
        return kappa


def _psi(kappa: NDArray[np.complex128], noise_ratio: float) -> NDArray[np.float64]:
    psi: NDArray[np.float64] = np.sqrt(
        (1 + noise_ratio) / (1 + noise_ratio * np.abs(kappa) ** 2)
    )
    return psi


def _stamp(transform: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return the kernel of a transform, centred on the middle of an odd square."""
    side = transform.shape[0]
    stamp: NDArray[np.float64] = fft.fftshift(fft.irfft2(transform, s=(side, side)))
    return stamp


def _reach(stamp: NDArray[np.float64]) -> int:
    """Return half the side of the square that holds nearly all of a stamp."""
    size = np.abs(stamp)
    y, x = np.indices(size.shape) - size.shape[0] // 2
    radius = np.maximum(np.abs(y), np.abs(x))
    held = np.cumsum(np.bincount(radius.ravel(), weights=size.ravel()))
    return int(np.searchsorted(held, (1 - _CUT) * held[-1]))


def _cropped(stamp: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float64]:
    """Return the middle of a stamp that sums to 1, what was cut off spread over it.

    A scale would change the variance that the filter leaves; an even addition
    changes frequency 0 alone.
    """
    cut_y, cut_x = ((n - k) // 2 for n, k in zip(stamp.shape, shape, strict=True))
    middle = stamp[cut_y : cut_y + shape[0], cut_x : cut_x + shape[1]]
    completed: NDArray[np.float64] = middle + (1 - middle.sum()) / middle.size
    return completed
