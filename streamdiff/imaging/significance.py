"""The significance of a point source at every pixel: a matched filter."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.compiled import compiled
from streamdiff.imaging.convolve import convolve_varying
from streamdiff.imaging.filter_in_blocks import filter_in_blocks
from streamdiff.imaging.kernel_field import KernelField, Nodes, trimmed
from streamdiff.model import (
    ConstantPsf,
    Difference,
    GridPsf,
    MaskPlane,
    PolynomialPsf,
    Psf,
)
from streamdiff.model.planes import read_only

_Stamps = NDArray[np.float64]

# A PSF varies on the scale of the image. Between nodes its square is interpolated
# apart from itself: with 32 cells along an axis, both agree to a few 1e-4.
_CELLS, _SMALLEST_CELL, _LARGEST_CELL = 32, 32, 128
# Along each axis, of a PSF that is a polynomial, of the fourth order at most.
_NODES = 11
# Of a kernel, so much may be missing at a node, and so much be cut off at its border.
_TOLERANCE, _CUT = 5e-4, 1e-6
# What lies further out is no reason to leave a pixel out.
_NEGLIGIBLE = 1e-3
# Rows that are looked at together.
_STRIP = 64


def significance(
    difference: Difference, *, exclude: MaskPlane, min_power: float = 0.5
) -> NDArray[np.float32]:
    """Return flux over its error, of a point source on each pixel of a difference.

    See `PointSourceFilter`; shape (ny, nx) [sigma].
    """
    matched = PointSourceFilter.of(difference, exclude=exclude, min_power=min_power)
    return matched.significance(difference.image)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PointSourceFilter:
    """The matched filter of a difference; planes of shape (ny, nx).

    Attributes
    ----------
    psf : Psf
    good : ndarray of bool
        Pixels that take part.
    noise : ndarray of float32
        Standard deviation of what is filtered; infinite where too little of the PSF
        is on good pixels.

    Notes
    -----
    With the local PSF P, the difference D, its variance V, the covariance factor c
    and weights w of 1 on good pixels and 0 elsewhere, the least-squares flux over
    its error is sum(w D P) / sqrt(c sum(w V P^2)).

    Weights of 1 / V would be deeper where V varies within a PSF, but V is often
    made from the pixels themselves: one that is bright by chance would weigh less,
    and blank sky of few photons would no longer have mean 0.
    """

    psf: Psf
    good: NDArray[np.bool_]
    noise: NDArray[np.float32]

    @classmethod
    def of(
        cls, difference: Difference, *, exclude: MaskPlane, min_power: float = 0.5
    ) -> "PointSourceFilter":
        """Return the filter of a difference.

        Parameters
        ----------
        difference : Difference
            Its noise is white but for its covariance factor.
        exclude : MaskPlane
            Pixels of these planes take no part; neither do those whose image is not
            finite or whose variance is not finite and positive.
        min_power : float
            Least fraction of the PSF's power, the sum of its squares, that must be
            on pixels that take part, in (0, 1].
        """
        good = _taking_part(difference, exclude)
        (noise,) = _correlate([difference.variance], good, difference.psf, np.square)
        # The rule needs no more than the PSF in the middle of the image.
        height, width = difference.shape
        power = difference.psf.centred_at((width - 1) / 2, (height - 1) / 2) ** 2
        seen = is_seen(good, power, min_power)
        # One row stands for all where the factor is the same everywhere.
        factor = np.atleast_2d(np.float32(difference.covariance_factor))
        factor = np.broadcast_to(factor, (len(factor), width))
        given = read_only(np.ascontiguousarray(factor))
        _to_deviations(noise, given, seen)
        return cls(psf=difference.psf, good=good, noise=noise)

    def filter(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return an image correlated with the PSF, without what takes no part."""
        return _correlate([image], self.good, self.psf, lambda p: p)[0]

    def significance(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return flux over its error [sigma], of a point source on each pixel.

        It is 0 where too little of the PSF is on good pixels.
        """
        return self.significances([image])[0]

    def significances(
        self, images: Sequence[NDArray[np.float32]]
    ) -> list[NDArray[np.float32]]:
        """Return the significance of each of some images, for little more than one."""
        filtered = _correlate(images, self.good, self.psf, lambda p: p)
        for plane in filtered:
            _divide(plane, self.noise)
        return filtered


def _taking_part(difference: Difference, exclude: MaskPlane) -> NDArray[np.bool_]:
    good = np.empty(difference.shape, np.bool_)
    planes = difference.image, difference.variance, difference.mask
    _mark_good(*planes, np.int32(exclude), good)
    return good


@compiled
def _mark_good(
    image: NDArray[np.float32],
    variance: NDArray[np.float32],
    mask: NDArray[np.int32],
    exclude: np.int32,
    good: NDArray[np.bool_],
) -> None:
    """Mark what is known and not excluded: one pass, instead of six."""
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            noise = variance[y, x]
            known = np.isfinite(image[y, x]) & np.isfinite(noise) & (noise > 0)
            good[y, x] = known & ((mask[y, x] & exclude) == 0)


@compiled
def _to_deviations(
    variance: NDArray[np.float32],
    factor: NDArray[np.float32],
    seen: NDArray[np.bool_],
) -> None:
    """Take the roots where enough of the PSF is seen, infinity elsewhere.

    Rounding of the transforms: no noise is where no variance was.
    """
    height, width = variance.shape
    for y in range(height):
        row = factor[y % len(factor)]
        for x in range(width):
            value = variance[y, x]
            known = seen[y, x] & (value > 0)
            variance[y, x] = np.sqrt(value * row[x] if known else np.float32(np.inf))


@compiled
def _divide(plane: NDArray[np.float32], noise: NDArray[np.float32]) -> None:
    """Divide a plane by its noise; what is too large for a number becomes 0."""
    for y in range(plane.shape[0]):
        for x in range(plane.shape[1]):
            ratio = plane[y, x] / noise[y, x]
            plane[y, x] = ratio if np.isfinite(ratio) else np.float32(0)


def is_seen(
    good: NDArray[np.bool_], stamp: NDArray[np.floating], least: float
) -> NDArray[np.bool_]:
    """Return whether enough of a stamp, centred on each pixel, is on good pixels.

    Parameters
    ----------
    good : ndarray of bool, shape (ny, nx)
        There are none beyond the border.
    stamp : ndarray of float, shape (ky, kx)
        At least 0, with odd sides; its faint outskirts do not count.
    least : float
        Part of its sum that is enough.

    Returns
    -------
    ndarray of bool, shape (ny, nx)
    """
    middle = trimmed(stamp[np.newaxis], stamp[np.newaxis], _NEGLIGIBLE)[0]
    weights = np.asarray(middle / middle.sum(), np.float32)
    # Weights of the first pixels of each row, none to all of them.
    sums = np.cumsum(np.pad(weights, ((0, 0), (1, 0))), axis=1, dtype=np.float32)
    margins = [(k // 2, k // 2) for k in weights.shape]
    seen = np.empty(good.shape, np.bool_)
    _fill_seen(np.pad(good, margins), sums, np.float32(least), seen)
    return seen


@compiled
def _fill_seen(
    surrounded: NDArray[np.bool_],
    sums: NDArray[np.float32],
    least: np.float32,
    seen: NDArray[np.bool_],
) -> None:
    """Take off the weights of pixels that are not good, a run of them at a time."""
    height, width = seen.shape
    ky, kx = sums.shape[0], sums.shape[1] - 1
    n_columns = surrounded.shape[1]
    # Strip by strip: the shares stay in the cache.
    strip = np.empty((_STRIP, width), np.float32)
    for first in range(0, height, _STRIP):
        stop = min(first + _STRIP, height)
        strip[:] = 1
        for v in range(first, stop + ky - 1):
            top, bottom = max(v - ky + 1, first), min(v + 1, stop)
            end = 0
            for start in range(n_columns):
                if start < end or surrounded[v, start]:
                    continue
                end = start + 1
                while end < n_columns and not surrounded[v, end]:
                    end += 1
                for y in range(top, bottom):
                    row, share = sums[v - y], strip[y - first]
                    for x in range(max(start - kx + 1, 0), min(end, width)):
                        share[x] -= row[min(end - x, kx)] - row[max(start - x, 0)]
        for y in range(first, stop):
            for x in range(width):
                seen[y, x] = strip[y - first, x] >= least


def _correlate(
    planes: Sequence[NDArray[np.float32]],
    good: NDArray[np.bool_],
    psf: Psf,
    function: Callable[[_Stamps], _Stamps],
) -> list[NDArray[np.float32]]:
    """Return the sums over what counts of planes times a function of the local PSF."""
    if isinstance(psf, ConstantPsf | GridPsf | PolynomialPsf):
        return filter_in_blocks(planes, good, _field(psf, function))

    def kernel_at(x: float, y: float) -> _Stamps:
        return function(psf.centred_at(x, y))[::-1, ::-1]

    cell = int(np.clip(min(good.shape) // _CELLS, _SMALLEST_CELL, _LARGEST_CELL))
    known = (np.where(good & np.isfinite(p), p, np.float32(0)) for p in planes)
    return [convolve_varying(p, kernel_at, psf.shape, cell=cell) for p in known]


def _field(
    psf: ConstantPsf | GridPsf | PolynomialPsf,
    function: Callable[[_Stamps], _Stamps],
) -> KernelField:
    """Return a function of a PSF as the sum of few kernels, for correlation.

    Between the nodes of the PSF, its square is no spline of the square at the
    nodes: it is sampled there, too.
    """
    if isinstance(psf, ConstantPsf):
        middle = Nodes(x=np.zeros(1), y=np.zeros(1))
        return KernelField.of(function(psf.stamp)[np.newaxis, ::-1, ::-1], middle)
    if isinstance(psf, GridPsf):
        nodes = Nodes(x=_with_middles(psf.x), y=_with_middles(psf.y))
    else:
        nodes = Nodes.spread(psf.image_shape, (_NODES, _NODES))
    kernels = function(psf.centred_at_each(*nodes.positions))[:, ::-1, ::-1]
    kernels = trimmed(kernels, np.abs(kernels), _CUT)
    return KernelField.of(kernels, nodes, tolerance=_TOLERANCE)


def _with_middles(nodes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return nodes and those half way between two of them."""
    return np.sort(np.concatenate([nodes, (nodes[1:] + nodes[:-1]) / 2]))
