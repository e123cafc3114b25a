"""The matched filter of a PSF that varies over an image, block by block."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from streamdiff.imaging.block_kernels import BlockKernels, MixedKernels, SampledKernels
from streamdiff.imaging.blocks import Blocks
from streamdiff.imaging.kernel_field import KernelField, Nodes, trimmed
from streamdiff.model import ConstantPsf, GridPsf, PolynomialPsf, Psf

_Stamps = NDArray[np.float64]

# Side of the largest blocks, overlaps included; along an axis, at least so many tell
# a PSF that varies, unless they were smaller than this.
_BLOCK, _ALONG_AXIS, _SMALLEST_CELL = 256, 16, 32
# The same of a PSF of which nothing is known: it may change in steps.
_ALONG_ANY_AXIS, _LARGEST_CELL = 32, 128
# Pixels of the blocks that are transformed together: they stay in the cache.
_BATCH = 2**17
# Nodes along each axis of a PSF that is a polynomial, of the fourth order at most.
_NODES = 11
# Of a kernel, so much may be missing at a node, and so much be cut off at its border.
_TOLERANCE, _CUT = 5e-4, 1e-6
# What lies further out is no reason to leave a pixel out.
_NEGLIGIBLE = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MatchedFilter:
    """A PSF and its square, as kernels of the blocks of an image.

    Attributes
    ----------
    blocks : Blocks
    profile, power : BlockKernels
        Of the PSF, which filters images, and its square, which filters variances.
    core : ndarray of float64, shape (ky, kx)
        The square in the middle of the image, without its faint outskirts.
    """

    blocks: Blocks
    profile: BlockKernels
    power: BlockKernels
    core: NDArray[np.float64]

    @classmethod
    def of(cls, psf: Psf, shape: tuple[int, int]) -> "MatchedFilter":
        """Return the filter of a PSF, for images of a shape (ny, nx)."""
        height, width = shape
        power = psf.centred_at((width - 1) / 2, (height - 1) / 2)[np.newaxis] ** 2
        core = trimmed(power, power, _NEGLIGIBLE)[0]
        if isinstance(psf, ConstantPsf | GridPsf | PolynomialPsf):
            return cls._of_fields(psf, shape, core)
        cell = np.clip(min(shape) // _ALONG_ANY_AXIS, _SMALLEST_CELL, _LARGEST_CELL)
        blocks = Blocks.of(shape, psf.shape, int(cell))

        def profile_at(x: float, y: float) -> _Stamps:
            return psf.centred_at(x, y)[::-1, ::-1]

        def power_at(x: float, y: float) -> _Stamps:
            return profile_at(x, y) ** 2

        return cls(
            blocks=blocks,
            profile=SampledKernels(blocks=blocks, kernel_at=profile_at),
            power=SampledKernels(blocks=blocks, kernel_at=power_at),
            core=core,
        )

    @classmethod
    def _of_fields(
        cls,
        psf: ConstantPsf | GridPsf | PolynomialPsf,
        shape: tuple[int, int],
        core: _Stamps,
    ) -> "MatchedFilter":
        """Return the filter of a PSF that is a sum of few, as is its square."""
        nodes, stamps = _at_nodes(psf)
        kernels = stamps[:, ::-1, ::-1]
        fields = [_field(each, nodes) for each in (kernels, kernels**2)]
        ky, kx = np.max([core.shape, *(field.shape for field in fields)], axis=0)
        cell = max(_BLOCK - max(ky, kx) + 1, 4 * max(ky, kx))
        if not all(field.is_constant for field in fields):
            cell = min(cell, max(min(shape) // _ALONG_AXIS, _SMALLEST_CELL))
        blocks = Blocks.of(shape, (int(ky), int(kx)), int(cell))
        profile, power = (MixedKernels.of(field, blocks) for field in fields)
        return cls(blocks=blocks, profile=profile, power=power, core=core)

    @property
    def spoilt(self) -> tuple[int, int]:
        """Return how many rows and columns before the cells are not to be used."""
        ky, kx = self.blocks.kernel_shape
        return ky - 1, kx - 1

    def batches(self) -> Iterator[slice]:
        """Yield the columns of the blocks of a row, a few at a time."""
        height, width = self.blocks.padded
        step = max(1, _BATCH // (height * width))
        for first in range(0, self.blocks.count[1], step):
            yield slice(first, min(first + step, self.blocks.count[1]))

    def filtered(
        self, pixels: NDArray[np.float32], kernels: NDArray[np.complex64]
    ) -> NDArray[np.float32]:
        """Return blocks convolved with kernels, given by their spectra.

        Parameters
        ----------
        pixels : ndarray of float32, shape (n, height, width)
            Of blocks, margins included.
        kernels : ndarray of complex64, shape (n, height, width // 2 + 1)

        Returns
        -------
        ndarray of float32, shape (n, height, width)
            Rows and columns before the cells are `spoilt`.
        """
        spectra = fft.rfft2(pixels)
        spectra *= kernels
        filtered: NDArray[np.float32] = fft.irfft2(
            spectra, s=self.blocks.padded, overwrite_x=True
        )
        return filtered


def _at_nodes(psf: ConstantPsf | GridPsf | PolynomialPsf) -> tuple[Nodes, _Stamps]:
    """Return nodes that tell all of a PSF and of its square, and its stamps there.

    Between the nodes of the PSF, its square is no spline of the square at the
    nodes: it is sampled there, too.
    """
    if isinstance(psf, ConstantPsf):
        return Nodes(x=np.zeros(1), y=np.zeros(1)), psf.stamp[np.newaxis]
    if isinstance(psf, GridPsf):
        nodes = Nodes(x=_with_middles(psf.x), y=_with_middles(psf.y))
    else:
        nodes = Nodes.spread(psf.image_shape, (_NODES, _NODES))
    return nodes, psf.centred_at_each(*nodes.positions)


def _field(kernels: _Stamps, nodes: Nodes) -> KernelField:
    """Return kernels that are known at nodes as the sum of few."""
    kernels = trimmed(kernels, np.abs(kernels), _CUT)
    return KernelField.of(kernels, nodes, tolerance=_TOLERANCE)


def _with_middles(nodes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return nodes and those half way between two of them."""
    return np.sort(np.concatenate([nodes, (nodes[1:] + nodes[:-1]) / 2]))
