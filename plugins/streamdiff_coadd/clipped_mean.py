"""The weighted mean of warps without what only one of them shows."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from streamdiff.imaging.stamps import pad_stamp
from streamdiff.model.psf import fwhm
from streamdiff_coadd.footprints import Footprints
from streamdiff_coadd.layer import Box, Layer
from streamdiff_coadd.mean import MeanCoadder
from streamdiff_coadd.pixel_loops import medians
from streamdiff_coadd.running_mean import RunningMean
from streamdiff_coadd.stack import Stack, StackInput

# Two values can not tell which of them is the odd one out.
MIN_EPOCHS = 3
# Pixels beside a clipped one are clipped from here on [sigma].
GROW_SIGMA = 2.5
# The variance of a median of n is pi / 2 that of the mean.
MEDIAN_VARIANCE = np.pi / 2
# How much larger than predicted by the PSFs a residual of a star may be.
PSF_SAFETY = 1.2


@dataclass(frozen=True, slots=True, kw_only=True)
class ClippedMeanCoadder(MeanCoadder):
    """The weighted mean of the pixels that agree with the median of all warps.

    A pixel is clipped where it deviates from the median by more than its noise
    and the seeing explain: stars of a warp with another PSF do deviate, by a
    known fraction of their peak. Pixels around it that deviate less are clipped
    with it. Where fewer than three warps have data nothing is clipped.

    Attributes
    ----------
    bad, scale, min_stars, max_seeing_arcsec, best_fraction, min_inputs
        See `MeanCoadder`, which tells of the others, too.
    n_sigma : float
        Smallest deviation that is clipped [sigma].
    star_tolerance : float
        Fraction of the peak of a star that errors of PSF, registration and flux
        scale may leave, beyond what the PSFs predict.
    """

    n_sigma: Annotated[float, Gt(0)] = 4.0
    star_tolerance: Annotated[float, Ge(0)] = 0.1

    def fill(self, mean: RunningMean, stack: Stack) -> None:
        """Add the inputs of a stack to their mean, without what is clipped."""
        model = _model(stack)
        for item, difference in zip(stack.inputs, model.psf_differences, strict=True):
            tolerance = np.float32(PSF_SAFETY * difference + self.star_tolerance)
            mean.add(item, self._clipped(item, stack, model, tolerance))

    def _clipped(
        self, item: StackInput, stack: Stack, model: "_Model", tolerance: np.float32
    ) -> NDArray[np.bool_]:
        layer = item.load()
        deviant, seeds = (np.zeros(stack.shape, np.bool_) for _ in "ds")
        for rows in stack.strips():
            deviant[rows], seeds[rows] = self._deviant(layer, model, rows, tolerance)
        footprints = Footprints.of(deviant).with_any(seeds)
        clipped = np.zeros(stack.shape, np.bool_)
        clipped.flat[footprints.pixels] = True
        return clipped

    def _deviant(
        self, layer: Layer, model: "_Model", rows: slice, tolerance: np.float32
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which pixels of some rows deviate at all, and which by enough."""
        box = rows, slice(None)
        n_usable = model.n_usable[rows]
        n = np.maximum(n_usable, np.float32(1))
        sigma = np.sqrt(layer.variance(box) * (1 + np.float32(MEDIAN_VARIANCE) / n))
        excess = np.abs(layer.image(box) - model.median[rows])
        excess -= tolerance * model.peaks[rows]
        testable = layer.usable(box) & (n_usable >= MIN_EPOCHS)
        deviant = testable & (excess > GROW_SIGMA * sigma)
        return deviant, deviant & (excess > self.n_sigma * sigma)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Model:
    """What all warps together say of the static sky.

    Attributes
    ----------
    median : ndarray of float32, shape (ny, nx)
        Of the usable pixels; 0 where there are none.
    n_usable : ndarray of uint16, shape (ny, nx)
    peaks : ndarray of float32, shape (ny, nx)
        Highest value of the median nearby, not negative.
    psf_differences : tuple of float
        Per input, the largest residual of a star over its peak in the median.
    """

    median: NDArray[np.float32]
    n_usable: NDArray[np.uint16]
    peaks: NDArray[np.float32]
    psf_differences: tuple[float, ...]


def _model(stack: Stack) -> _Model:
    median, n_usable = _median(stack)
    stamps = _centre_stamps(stack)
    reach = int(np.ceil(0.75 * max(fwhm(stamp) for stamp in stamps)))
    peaks = maximum_filter(median, 2 * reach + 1, mode="nearest")
    typical = np.median(stamps, axis=0)
    return _Model(
        median=median,
        n_usable=n_usable,
        # A sky that has not been subtracted is no star.
        peaks=np.maximum(peaks - np.median(median[::3, ::3]), 0),
        psf_differences=tuple(
            float(np.abs(stamp - typical).max() / typical.max()) for stamp in stamps
        ),
    )


def _median(stack: Stack) -> tuple[NDArray[np.float32], NDArray[np.uint16]]:
    median, n_usable = (
        np.zeros(stack.shape, np.float32),
        np.zeros(stack.shape, np.uint16),
    )
    for rows in stack.strips():
        box = (rows, slice(0, stack.shape[1]))
        # One at a time: what is loaded lies in memory until it is let go of.
        values = np.array([_values(item.load(), box) for item in stack.inputs])
        medians(values, median[rows], n_usable[rows])
    return median, n_usable


def _values(layer: Layer, box: Box) -> NDArray[np.float32]:
    """Return the image in a box, NaN where it is not usable."""
    return np.where(layer.usable(box), layer.image(box), np.float32(np.nan))


def _centre_stamps(stack: Stack) -> list[NDArray[np.float64]]:
    """Return the PSFs in the middle of the patch, all of one shape."""
    height, width = stack.shape
    stamps = [i.psf.centred_at((width - 1) / 2, (height - 1) / 2) for i in stack.inputs]
    side_y, side_x = np.max([s.shape for s in stamps], axis=0)
    return [pad_stamp(stamp, (side_y, side_x)) for stamp in stamps]
