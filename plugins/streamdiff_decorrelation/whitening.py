"""The filters that whiten the noise of a difference: DMTN-021, Reiss & Lupton 2016.

A difference is the sum of one image as it was, with noise power u, and one that was
convolved with a kernel of transform kappa, with noise power c before, both on the
flux scale of the difference. The power of its noise is u + c |kappa|^2; the filter

    psi = sqrt((u + c) / (u + c |kappa|^2))

makes it u + c at all frequencies. Since kappa is 1 at frequency 0, so is psi: fluxes
are kept. With science variance s, template variance t, and a kernel of sum K that
convolves the template, u = s and c = K^2 t give the DMTN's formula; a convolved
science image, or a difference that was divided by K, only change u and c.

Where the other image was convolved, too, with a kernel of transform G, the power is
u |G|^2 + c |kappa|^2. Dividing it out of the difference, where all of it may be as
good as 0, would raise the rounding errors; so the two images are filtered anew, with
psi |G| and psi kappa conj(G) / |G|. The phase of G is in neither: it does not change
the noise, and the shorter filters are those without.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from streamdiff.imaging.kernel_field import KernelField, Nodes, cropped
from streamdiff.model import MatchingKernel
from streamdiff_decorrelation.noise_parts import NoiseRatio

# What may be cut off a filter: this part of the sum of its absolute values.
_CUT = 1e-3
# Filters reach farther than the kernels where the convolved image is the noisier.
_GRID_PER_KERNEL, _MIN_GRID = 4, 65
# Nodes along an axis that follow a kernel, and the most that follow the noise.
_NODES, _MOST_NODES = 9, 33
# Where |G| is smaller, a fitted matching kernel is wrong by more than its value, and
# the science image holds next to nothing: there, it is left alone with its noise.
_NOTHING = 1e-3


@dataclass(frozen=True, eq=False, kw_only=True)
class Whitening:
    """The filters of one difference, as a function of position.

    Attributes
    ----------
    matching_kernel : MatchingKernel
        Its sum at the centre does not matter.
    noise_ratio : NoiseRatio
        c / u.
    fixed_kernel : ndarray of float64, shape (ky, kx), or None
        Kernel, of odd sides and sum 1, that the other image was convolved with.
    """

    matching_kernel: MatchingKernel
    noise_ratio: NoiseRatio
    fixed_kernel: NDArray[np.float64] | None = None

    @cached_property
    def fixed(self) -> "NodeFilters":
        """Return the filter of the image that was not convolved, or not with kappa."""
        return NodeFilters(stamps=_middles(self._filters[0]), nodes=self._nodes)

    @cached_property
    def matched(self) -> "NodeFilters":
        """Return the filter, and kernel in one, of the image that was convolved."""
        return NodeFilters(stamps=_middles(self._filters[1]), nodes=self._nodes)

    @cached_property
    def _nodes(self) -> Nodes:
        needed = [1, 1] if self.matching_kernel.order == 0 else [_NODES, _NODES]
        if not self.noise_ratio.is_constant:
            # Every corner of every cell.
            needed = [max(_NODES, c + 1) for c in self.noise_ratio.cells.shape]
        height, width = (min(n, _MOST_NODES) for n in needed)
        return Nodes.spread(self.matching_kernel.image_shape, (height, width))

    @cached_property
    def _filters(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return both filters at the nodes; shape (n_nodes, side, side)."""
        x, y = self._nodes.positions
        kernel = self.matching_kernel
        kernels = np.tensordot(kernel.weights(x, y).T, kernel.basis, 1)
        matched = self._transform(kernels / kernel.centre_sum)
        fixed = np.ones((1, 1), np.float32)
        if self.fixed_kernel is not None:
            own = self._transform(self.fixed_kernel)
            fixed = np.sqrt(np.square(np.abs(own)) + np.float32(_NOTHING**2))
            matched = matched * np.conj(own) / fixed
        ratio = self.noise_ratio.at(x, y).astype(np.float32).reshape(-1, 1, 1)
        power = np.square(fixed) + ratio * np.square(np.abs(matched))
        white = 1 + ratio * np.square(np.abs(matched[:, :1, :1]))
        psi = np.sqrt(white / power)
        return self._stamps(psi * fixed), self._stamps(psi * matched)

    @cached_property
    def _side(self) -> int:
        shapes = [self.matching_kernel.shape]
        if self.fixed_kernel is not None:
            shapes.append(self.fixed_kernel.shape)
        return max(_GRID_PER_KERNEL * max(max(s) for s in shapes) + 1, _MIN_GRID)

    def _transform(self, kernels: NDArray[np.float64]) -> NDArray[np.complex64]:
        """Return transforms of kernels, shape (..., ky, kx), about their middles."""
        ky, kx = kernels.shape[-2:]
        shape = *kernels.shape[:-2], self._side, self._side
        grid = np.zeros(shape, np.float32)
        grid[..., :ky, :kx] = kernels
        transform: NDArray[np.complex64] = fft.rfft2(
            np.roll(grid, (-(ky // 2), -(kx // 2)), axis=(-2, -1))
        )
        return transform

    def _stamps(self, transforms: NDArray[np.generic]) -> NDArray[np.float32]:
        """Return kernels of transforms, centred on the middle of an odd square."""
        stamps: NDArray[np.float32] = fft.fftshift(
            fft.irfft2(transforms, s=(self._side, self._side)), axes=(-2, -1)
        )
        return stamps


@dataclass(frozen=True, eq=False, kw_only=True)
class NodeFilters:
    """A filter at the nodes of an image.

    Attributes
    ----------
    stamps : ndarray of float64, shape (gy * gx, side, side)
        Row by row; with odd sides.
    nodes : Nodes
    """

    stamps: NDArray[np.float64]
    nodes: Nodes

    @cached_property
    def field(self) -> KernelField:
        """Return the filter as a function of position."""
        return KernelField.of(self.stamps, self.nodes)

    @cached_property
    def power(self) -> NDArray[np.float64]:
        """Return the sum of the squares, what white noise grows by; shape (gy, gx)."""
        power: NDArray[np.float64] = np.square(self.stamps).sum(axis=(1, 2))
        return power.reshape(self.nodes.shape)


def _middles(stamps: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the middles of stamps that hold nearly all, of the same sums."""
    return cropped(stamps, np.abs(stamps), _CUT).astype(float)
