"""Cuts candidates out of two images."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from streamdiff.imaging.interpolate import dilate_by_disc, fill_unusable
from streamdiff.imaging.stamps import nearest_pixels
from streamdiff.model import NO_PLANES, MaskPlane
from streamdiff.model.field import field_terms
from streamdiff_al.cutout import Cutout
from streamdiff_al.pixels import Pixels
from streamdiff_al.separable import Separable

# Weights must not know the noise of the very pixel that they weigh: a Poisson
# variance of a low pixel is low, and the fit would follow it. A mean over 5 x 5 px
# takes 96 % of this bias away.
_SMOOTHING = 5
# An interpolated pixel is wrong by little, one beside a star's plateau by much:
# fitted pixels keep a distance from the first [pixel], and a share of the side of
# the kernel from saturated ones.
_FROM_INTERPOLATED, _FROM_SATURATED = 2.0, 0.25
# Convolved candidates of 2 MB leave some of the cache to what is made of them.
_VALUES_AT_ONCE = 2**18

_Index = tuple[NDArray[np.intp], NDArray[np.intp]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cutter:
    """Cuts candidates out of two images and convolves them with the basis.

    Attributes
    ----------
    target, source : Pixels
        The image to be matched and the one to be convolved, which is filled.
    basis : ndarray of float64, shape (n_basis, size, size)
    convolver : Separable
        Of the basis.
    half : int
        Half the side of the fitted square.
    order : int
        Largest order of what varies over the image.
    bad : MaskPlane
        Pixels of these planes are not fitted; neither are unusable ones.
    """

    target: Pixels
    source: Pixels
    basis: NDArray[np.float64]
    convolver: Separable
    half: int
    order: int
    bad: MaskPlane

    @classmethod
    def of(
        cls,
        target: Pixels,
        source: Pixels,
        basis: NDArray[np.float64],
        *,
        half: int,
        order: int,
        bad: MaskPlane = NO_PLANES,
    ) -> "Cutter":
        """Return the cutter of a pair of images."""
        return cls(
            target=target,
            source=source,
            basis=basis,
            convolver=Separable.of(basis, 2 * half + 1),
            half=half,
            order=order,
            bad=bad,
        )

    def restricted(self, kept: Sequence[int]) -> "Cutter":
        """Return the cutter for some kernels of the basis."""
        basis = self.basis[list(kept)]
        convolver = Separable.of(basis, 2 * self.half + 1)
        return replace(self, basis=basis, convolver=convolver)

    @property
    def reach(self) -> int:
        """Return how far from a candidate the pixels lie that it needs."""
        return int(self.half + self.basis.shape[-1] // 2 + 1)

    @property
    def at_once(self) -> int:
        """Return how many candidates fit into the cache together."""
        return max(_VALUES_AT_ONCE // (len(self.basis) * (2 * self.half + 1) ** 2), 1)

    def cut(self, x: ArrayLike, y: ArrayLike) -> Cutout:
        """Return the pixels around a position, or a stack of those around several.

        Parameters
        ----------
        x, y : array_like of float, shape () or (n,)
            At least ``reach`` from the border [pixel].
        """
        inner = _around(x, y, self.half)
        outer = _around(x, y, self.half + self.basis.shape[-1] // 2)
        shape = self.target.image.shape
        terms = field_terms(inner[1], inner[0], self.order, shape)
        return Cutout(
            terms=np.ascontiguousarray(np.moveaxis(terms, 0, -3)),
            target=self._target(self.target.image, inner),
            convolved=self.convolver.convolve(self.source.image[outer].astype(float)),
            target_variance=_smoothed(self._target(self.target.variance, inner)),
            source_variance=_smoothed(self.source.variance[outer].astype(float)),
            usable=self._usable(x, y),
        )

    def _usable(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.bool_]:
        """Return which pixels are usable, and far enough from spoilt ones."""
        target, source, size = self.target, self.source, self.basis.shape[-1]
        margin = max(size // 2, ceil(_FROM_INTERPOLATED))
        inner, outer = (_around(x, y, self.half + more) for more in (0, margin))
        usable = target.usable[inner] & ~self.bad.in_mask(target.mask[inner])
        full = source.saturated[outer]
        spoilt = ~(source.usable[outer] | full) | self.bad.in_mask(source.mask[outer])
        discs = (spoilt, _FROM_INTERPOLATED), (full, _FROM_SATURATED * size)
        for plane, radius in discs:
            # Of squares below each other, no disc reaches beyond the margins.
            column = dilate_by_disc(plane.reshape(-1, plane.shape[-1]), radius)
            within = column.reshape(plane.shape)[..., margin:-margin, margin:-margin]
            usable &= ~within
        return usable

    def _target(self, plane: NDArray[np.float32], inner: _Index) -> NDArray[np.float64]:
        values, unusable = plane[inner], ~self.target.usable[inner]
        stack = values.reshape(-1, *values.shape[-2:])
        for stamp, gaps in zip(stack, unusable.reshape(stack.shape), strict=True):
            if gaps.any():
                stamp[:] = fill_unusable(stamp, gaps)
        return values.astype(float)


def _around(x: ArrayLike, y: ArrayLike, half: int) -> _Index:
    """Return rows and columns of squares; shapes (..., m, 1) and (..., 1, m)."""
    column, row = nearest_pixels(x, y)
    steps = np.arange(-half, half + 1)
    rows = row[..., np.newaxis, np.newaxis] + steps[:, np.newaxis]
    return rows, column[..., np.newaxis, np.newaxis] + steps


def _smoothed(variance: NDArray[np.float64]) -> NDArray[np.float64]:
    smoothed: NDArray[np.float64] = ndimage.uniform_filter(
        variance, _SMOOTHING, mode="nearest", axes=(-2, -1)
    )
    return smoothed
