"""The pixels around a kernel candidate, convolved with every basis kernel."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from math import ceil, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage, signal

from streamdiff.imaging.compiled import compiled
from streamdiff.imaging.interpolate import dilate_by_disc, fill_unusable
from streamdiff.imaging.noise import typical_variance
from streamdiff.imaging.stamps import nearest_pixels
from streamdiff.model import UNUSABLE, Exposure, MaskPlane
from streamdiff.model.field import field_terms
from streamdiff_al.separable import Separable

# Weights must not know the noise of the very pixel that they weigh: a Poisson
# variance of a low pixel is low, and the fit would follow it. A mean over 5 x 5 px
# takes 96 % of this bias away.
_SMOOTHING = 5
# A candidate may miss some wing, never its core.
_MIN_USABLE = 0.6
# An interpolated pixel is wrong by little, one beside a star's plateau by much:
# fitted pixels keep a distance from the first [pixel], and a share of the side of
# the kernel from saturated ones.
_FROM_INTERPOLATED, _FROM_SATURATED = 2.0, 0.25
# Transforms in single precision spread 4e-10 of a pixel's value over its block: what
# exceeds the typical noise so many times is no measurement, and a hundred pixels of
# it would drown their surroundings.
_ABSURD_SIGMA, _ABSURD_VARIANCE = 1e9, 1e7
# Convolved candidates of 2 MB leave some of the cache to what is made of them.
_VALUES_AT_ONCE = 2**18
# So many pixels along each axis tell the typical noise.
_SAMPLES = 512


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pixels:
    """The pixels of an exposure, and what they are good for.

    Attributes
    ----------
    image, variance : ndarray of float32, shape (ny, nx)
    usable, saturated : ndarray of bool, shape (ny, nx)
    no_data : ndarray of bool, shape (ny, nx)
        Whether a pixel is NO_DATA, not finite in image or variance, absurd, or of
        no variance: no measurement is without noise.
    """

    image: NDArray[np.float32]
    variance: NDArray[np.float32]
    usable: NDArray[np.bool_]
    saturated: NDArray[np.bool_]
    no_data: NDArray[np.bool_]

    @classmethod
    def of(cls, exposure: Exposure) -> "Pixels":
        """Return the pixels of an exposure, as they are."""
        no_data = ~_has_data(exposure)
        unusable = UNUSABLE.in_mask(exposure.mask)
        unusable |= no_data
        return cls(
            image=exposure.image,
            variance=exposure.variance,
            usable=~unusable,
            saturated=MaskPlane.SAT.in_mask(exposure.mask),
            no_data=no_data,
        )

    def filled(self) -> "Pixels":
        """Return pixels that are finite everywhere, unusable ones interpolated.

        The value of a saturated pixel is a lower limit: what lies around it is less
        still, and would tear a dark ring around the star. So it is not lowered.
        """
        unusable = ~self.usable
        image = fill_unusable(self.image, unusable)
        np.maximum(image, self.image, out=image, where=self.saturated & ~self.no_data)
        variance = fill_unusable(self.variance, unusable)
        return replace(self, image=image, variance=variance)


def _has_data(exposure: Exposure) -> NDArray[np.bool_]:
    """Return True where image and variance are of this world; shape (ny, nx)."""
    has_data = ~MaskPlane.NO_DATA.in_mask(exposure.mask)
    typical = _typical_variance(exposure.variance, has_data)
    brightest, noisiest = _ABSURD_SIGMA * sqrt(typical), _ABSURD_VARIANCE * typical
    # Where no pixel has a variance, nothing is of this world.
    _keep_measured(exposure.image, exposure.variance, brightest, noisiest, has_data)
    return has_data


def _typical_variance(
    variance: NDArray[np.float32], usable: NDArray[np.bool_]
) -> float:
    sparse = tuple(slice(None, None, ceil(n / _SAMPLES)) for n in variance.shape)
    typical = typical_variance(variance[sparse], usable[sparse])
    return typical if np.isfinite(typical) else typical_variance(variance, usable)


@compiled
def _keep_measured(
    image: NDArray[np.float32],
    variance: NDArray[np.float32],
    brightest: float,
    noisiest: float,
    has_data: NDArray[np.bool_],
) -> None:
    """Set False where a value is not finite, or absurd, or without noise."""
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            # No comparison with NaN is true.
            measured = abs(image[y, x]) <= brightest and 0 < variance[y, x] <= noisiest
            has_data[y, x] = has_data[y, x] and measured


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cutout:
    """What the fit needs to know of one candidate; m is the odd side of its square.

    Candidates may be stacked: every array has one more axis then, the first.

    Attributes
    ----------
    terms : ndarray of float64, shape (n_terms, m, m)
        Terms of `streamdiff.model.field.field_terms` on the pixels.
    target : ndarray of float64, shape (m, m)
        Image to be matched.
    convolved : ndarray of float64, shape (n_basis, m, m)
        Image to be convolved, with each basis kernel.
    target_variance : ndarray of float64, shape (m, m)
        Variance of ``target``, smoothed.
    source_variance : ndarray of float64, shape (m + size - 1, m + size - 1)
        Variance of the image to be convolved, with a margin for its kernel.
    usable : ndarray of bool, shape (m, m)
    """

    terms: NDArray[np.float64]
    target: NDArray[np.float64]
    convolved: NDArray[np.float64]
    target_variance: NDArray[np.float64]
    source_variance: NDArray[np.float64]
    usable: NDArray[np.bool_]

    @property
    def side(self) -> int:
        """Return the side m of the square."""
        return int(self.usable.shape[-1])

    @property
    def is_complete(self) -> NDArray[np.bool_]:
        """Return whether the core, and enough of the wings, can be used; shape ()."""
        core = slice(self.side // 2 - 2, self.side // 2 + 3)
        enough = self.usable.mean(axis=(-2, -1)) >= _MIN_USABLE
        complete: NDArray[np.bool_] = (
            self.usable[..., core, core].all(axis=(-2, -1)) & enough
        )
        return complete

    def take(self, rows: ArrayLike) -> "Cutout":
        """Return the candidates of a stack that an index names."""
        rows = np.asarray(rows)
        return Cutout(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def mixed(self, mixes: NDArray[np.float64]) -> "Cutout":
        """Return the cutout for combinations of the basis kernels.

        Parameters
        ----------
        mixes : ndarray of float64, shape (n, n_basis)
        """
        return replace(self, convolved=np.tensordot(mixes, self.convolved, 1))

    @property
    def centre_terms(self) -> NDArray[np.float64]:
        """Return the terms at the candidate; shape (n_terms,)."""
        middle = self.side // 2
        return self.terms[..., middle, middle]

    def variance(self, kernel: NDArray[np.float64] | None) -> NDArray[np.float64]:
        """Return the variance of target - convolved; shape (m, m).

        Without a kernel, the variance of the image to be convolved is taken as
        it is.
        """
        if kernel is None:
            return self.target_variance + self.own_source_variance
        convolved = signal.fftconvolve(
            self.source_variance, np.square(kernel), mode="valid"
        )
        total: NDArray[np.float64] = self.target_variance + convolved
        return total

    @property
    def own_source_variance(self) -> NDArray[np.float64]:
        """Return ``source_variance`` without its margin; shape (m, m)."""
        margin = (self.source_variance.shape[-1] - self.side) // 2
        return self.source_variance[..., margin:-margin, margin:-margin]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cutter:
    """Cuts candidates out of two images and convolves them with the basis.

    Attributes
    ----------
    target, source : Pixels
        The image to be matched and the one to be convolved, which is filled.
    usable : ndarray of bool, shape (ny, nx)
        Whether a pixel can be fitted.
    basis : ndarray of float64, shape (n_basis, size, size)
    convolver : Separable
        Of the basis.
    half : int
        Half the side of the fitted square.
    order : int
        Largest order of what varies over the image.
    """

    target: Pixels
    source: Pixels
    usable: NDArray[np.bool_]
    basis: NDArray[np.float64]
    convolver: Separable
    half: int
    order: int

    @classmethod
    def of(
        cls,
        target: Pixels,
        source: Pixels,
        basis: NDArray[np.float64],
        *,
        half: int,
        order: int,
    ) -> "Cutter":
        """Return the cutter of a pair of images."""
        spoilt = dilate_by_disc(~source.usable & ~source.saturated, _FROM_INTERPOLATED)
        spoilt |= dilate_by_disc(source.saturated, _FROM_SATURATED * basis.shape[-1])
        return cls(
            target=target,
            source=source,
            usable=target.usable & ~spoilt,
            basis=basis,
            convolver=Separable.of(basis, 2 * half + 1),
            half=half,
            order=order,
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
        inner, outer = (
            _around(x, y, half)
            for half in (self.half, self.half + self.basis.shape[-1] // 2)
        )
        terms = field_terms(inner[1], inner[0], self.order, self.usable.shape)
        return Cutout(
            terms=np.moveaxis(terms, 0, -3),
            target=self._target(self.target.image, inner),
            convolved=self.convolver.convolve(self.source.image[outer].astype(float)),
            target_variance=_smoothed(self._target(self.target.variance, inner)),
            source_variance=_smoothed(self.source.variance[outer].astype(float)),
            usable=self.usable[inner],
        )

    def _target(
        self, plane: NDArray[np.float32], inner: tuple[NDArray[np.intp], ...]
    ) -> NDArray[np.float64]:
        values, unusable = plane[inner], ~self.target.usable[inner]
        stack = values.reshape(-1, *values.shape[-2:])
        for stamp, gaps in zip(stack, unusable.reshape(stack.shape), strict=True):
            if gaps.any():
                stamp[:] = fill_unusable(stamp, gaps)
        return values.astype(float)


def _around(
    x: ArrayLike, y: ArrayLike, half: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
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
