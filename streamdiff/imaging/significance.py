"""The significance of a point source at every pixel: a matched filter."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.compiled import compiled
from streamdiff.imaging.convolve import convolve, convolve_in_blocks, convolve_varying
from streamdiff.imaging.kernel_field import KernelField, Nodes, trimmed
from streamdiff.model import (
    ConstantPsf,
    Difference,
    GridPsf,
    MaskPlane,
    PolynomialPsf,
    Psf,
)

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
        image, variance, psf = difference.image, difference.variance, difference.psf
        good = ~exclude.in_mask(difference.mask) & np.isfinite(image)
        good &= np.isfinite(variance) & (variance > 0)
        noise = _correlate(np.where(good, variance, np.float32(0)), psf, np.square)
        # The rule needs no more than the PSF in the middle of the image.
        power = psf.centred_at((image.shape[1] - 1) / 2, (image.shape[0] - 1) / 2) ** 2
        seen = share_on_good(good, power) >= min_power
        # Rounding of the transforms: no noise is where no variance was.
        seen &= noise > 0
        noise *= difference.covariance_factor
        np.sqrt(noise, where=seen, out=noise)
        noise[~seen] = np.inf
        return cls(psf=psf, good=good, noise=noise)

    def filter(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return an image correlated with the PSF, without what takes no part."""
        known = np.where(self.good & np.isfinite(image), image, np.float32(0))
        return _correlate(known, self.psf, lambda p: p)

    def significance(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return flux over its error [sigma], of a point source on each pixel.

        It is 0 where too little of the PSF is on good pixels.
        """
        filtered = self.filter(image)
        return np.divide(filtered, self.noise, out=filtered)


def share_on_good(
    good: NDArray[np.bool_], stamp: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Return which part of a stamp, centred on each pixel, is on good pixels.

    Parameters
    ----------
    good : ndarray of bool, shape (ny, nx)
        There are none beyond the border.
    stamp : ndarray of float, shape (ky, kx)
        At least 0, with odd sides; its faint outskirts do not count.

    Returns
    -------
    ndarray of float32, shape (ny, nx)
    """
    middle = trimmed(stamp[np.newaxis], stamp[np.newaxis], _NEGLIGIBLE)[0]
    weights = np.asarray(middle / middle.sum(), np.float32)
    # Weights of the first pixels of each row, none to all of them.
    sums = np.cumsum(np.pad(weights, ((0, 0), (1, 0))), axis=1, dtype=np.float32)
    margins = [(k // 2, k // 2) for k in weights.shape]
    share = np.ones(good.shape, np.float32)
    _take_off(np.pad(good, margins), sums, share)
    return share


@compiled
def _take_off(
    surrounded: NDArray[np.bool_],
    sums: NDArray[np.float32],
    share: NDArray[np.float32],
) -> None:
    """Subtract the weights of pixels that are not good, a run of them at a time."""
    height, width = share.shape
    ky, kx = sums.shape[0], sums.shape[1] - 1
    n_rows, n_columns = surrounded.shape
    for v in range(n_rows):
        top, bottom = max(v - ky + 1, 0), min(v + 1, height)
        end = 0
        for start in range(n_columns):
            if start < end or surrounded[v, start]:
                continue
            end = start + 1
            while end < n_columns and not surrounded[v, end]:
                end += 1
            for y in range(top, bottom):
                row = sums[v - y]
                for x in range(max(start - kx + 1, 0), min(end, width)):
                    share[y, x] -= row[min(end - x, kx)] - row[max(start - x, 0)]


def _correlate(
    plane: NDArray[np.generic],
    psf: Psf,
    function: Callable[[_Stamps], _Stamps],
) -> NDArray[np.float32]:
    """Return the sums over a plane times a function of the local PSF."""
    if isinstance(psf, ConstantPsf):
        return convolve(plane, function(psf.stamp)[::-1, ::-1])
    if isinstance(psf, GridPsf | PolynomialPsf):
        return convolve_in_blocks(plane, _field(psf, function))

    def kernel_at(x: float, y: float) -> _Stamps:
        return function(psf.centred_at(x, y))[::-1, ::-1]

    cell = int(np.clip(min(plane.shape) // _CELLS, _SMALLEST_CELL, _LARGEST_CELL))
    return convolve_varying(plane, kernel_at, psf.shape, cell=cell)


def _field(
    psf: GridPsf | PolynomialPsf,
    function: Callable[[_Stamps], _Stamps],
) -> KernelField:
    """Return a function of a PSF as the sum of few kernels, for correlation.

    Between the nodes of the PSF, its square is no spline of the square at the
    nodes: it is sampled there, too.
    """
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
