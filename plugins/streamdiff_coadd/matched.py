"""Warps brought to one common PSF, so that what is static looks the same in all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from streamdiff.imaging.convolve import convolve, convolve_varying
from streamdiff.imaging.interpolate import fill_unusable
from streamdiff.model import ConstantPsf, Psf
from streamdiff.model.psf import FWHM_PER_SIGMA, fwhm
from streamdiff_coadd.layer import Box, Layer
from streamdiff_coadd.stack import StackInput

# The common PSF is so much wider than the widest, for those are not round.
_WIDER = 1.15
# Half the side of the common PSF and of the kernels, in sigma of the PSF.
_HALF_PER_SIGMA = 4.5
# Power of a PSF, relative to that at frequency 0, below which it tells nothing.
_SMALLEST_POWER = 1e-6
# No pixel counts as brighter: it would drown its whole block in errors of rounding,
# which Fourier transforms of float32 share out [sigma].
_BRIGHTEST = np.float32(1e6)
# Distance [pixel] of the positions where a varying kernel is made.
_CELL = 512
_NODES = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MatchedPixels:
    """A box of a layer as if seen with the common PSF.

    Attributes
    ----------
    image, variance : ndarray of float32, of the box
        Variance of single pixels; their noise is correlated.
    usable : ndarray of bool, of the box
    """

    image: NDArray[np.float32]
    variance: NDArray[np.float32]
    usable: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CommonPsf:
    """The PSF that all warps are brought to, a Gaussian.

    Attributes
    ----------
    stamp : ndarray of float64, shape (n, n)
        With an odd side; sums to 1.
    fwhm : float
        [pixel].
    """

    stamp: NDArray[np.float64]
    fwhm: float

    @classmethod
    def of(cls, inputs: Sequence[StackInput], shape: tuple[int, int]) -> "CommonPsf":
        """Return one wide enough for all warps: matching sharpens none by much."""
        widest = max(_widest(item.psf, shape) for item in inputs)
        return cls.of_width(_WIDER * widest)

    @classmethod
    def of_width(cls, width: float) -> "CommonPsf":
        """Return the Gaussian of a FWHM [pixel]."""
        sigma = width / FWHM_PER_SIGMA
        half = int(np.ceil(_HALF_PER_SIGMA * sigma))
        profile = np.exp(-0.5 * np.square(np.arange(-half, half + 1) / sigma))
        stamp = np.outer(profile, profile)
        return cls(stamp=stamp / stamp.sum(), fwhm=width)

    def matching(self, psf: Psf) -> "Matching":
        """Return what brings a PSF to this one."""
        return Matching(
            kernel_at=_kernel_maker(psf, self.stamp),
            reach=self.stamp.shape[0] // 2,
            constant=isinstance(psf, ConstantPsf),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Matching:
    """The kernels that bring one warp to the common PSF.

    Attributes
    ----------
    kernel_at : callable
        The kernel at the position (x, y) [pixel]; it sums to 1.
    reach : int
        Half the side of a kernel [pixel].
    constant : bool
        Whether it is the same everywhere.
    """

    kernel_at: Callable[[float, float], NDArray[np.float64]]
    reach: int
    constant: bool

    def pixels(self, layer: Layer, box: Box) -> MatchedPixels:
        """Return a box of a layer; unusable pixels are interpolated before.

        The variance is propagated with the kernel in the middle of the box.
        """
        rows, columns = box
        outer = (
            _grown(rows, self.reach, layer.warp.shape[0]),
            _grown(columns, self.reach, layer.warp.shape[1]),
        )
        top, left = outer[0].start, outer[1].start
        inner = (
            slice(rows.start - top, rows.stop - top),
            slice(columns.start - left, columns.stop - left),
        )
        usable = layer.usable(outer)
        variance = fill_unusable(layer.variance(outer), ~usable)
        brightest = _BRIGHTEST * np.sqrt(np.median(variance))
        image = np.clip(layer.image(outer), -brightest, brightest)
        image = self._convolved(fill_unusable(image, ~usable), left, top)
        noise_kernel = np.square(self._kernel_in_middle(variance.shape, left, top))
        variance = convolve(variance, noise_kernel, border="mirror")
        return MatchedPixels(
            image=image[inner], variance=variance[inner], usable=usable[inner]
        )

    def _convolved(
        self, image: NDArray[np.float32], left: int, top: int
    ) -> NDArray[np.float32]:
        """Return an image convolved, given where on the coadd it begins."""
        if self.constant or max(image.shape) <= _CELL:
            kernel = self._kernel_in_middle(image.shape, left, top)
            return convolve(image, kernel, border="mirror")
        side = 2 * self.reach + 1
        return convolve_varying(
            image,
            lambda x, y: self.kernel_at(x + left, y + top),
            (side, side),
            cell=_CELL,
            border="mirror",
        )

    def _kernel_in_middle(
        self, shape: tuple[int, ...], left: int, top: int
    ) -> NDArray[np.float64]:
        height, width = shape
        return self.kernel_at(left + width / 2, top + height / 2)


def _widest(psf: Psf, shape: tuple[int, int]) -> float:
    y, x = ((np.arange(_NODES) + 0.5) / _NODES * n - 0.5 for n in shape)
    return max(fwhm(psf.centred_at(u, v)) for v in y for u in x)


def _grown(part: slice, margin: int, size: int) -> slice:
    """Return a part of an axis with a margin, as far as there is one."""
    return slice(max(part.start - margin, 0), min(part.stop + margin, size))


def _kernel_maker(
    psf: Psf, target: NDArray[np.float64]
) -> Callable[[float, float], NDArray[np.float64]]:
    side = fft.next_fast_len(2 * max(*psf.shape, *target.shape))
    wanted = fft.rfft2(_around_corner(target, side))

    @lru_cache(maxsize=1024)
    def kernel_at(x: float, y: float) -> NDArray[np.float64]:
        found = fft.rfft2(_around_corner(psf.centred_at(x, y), side))
        power = np.square(np.abs(found))
        # What the PSF has lost is not brought back (Wiener).
        ratio = wanted * found.conj() / (power + _SMALLEST_POWER * power[0, 0])
        kernel = fft.fftshift(fft.irfft2(ratio, (side, side)))
        middle, half = side // 2, target.shape[0] // 2
        cropped = kernel[middle - half : middle + half + 1, middle - half :]
        cropped = cropped[:, : 2 * half + 1]
        return np.asarray(cropped / cropped.sum(), float)

    return kernel_at


def _around_corner(stamp: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Return a stamp on a square grid, its middle pixel in the corner."""
    grid = np.zeros((side, side))
    ky, kx = stamp.shape
    grid[:ky, :kx] = stamp
    rolled: NDArray[np.float64] = np.roll(grid, (-(ky // 2), -(kx // 2)), (0, 1))
    return rolled
