"""The static sky on a strip of rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from streamdiff_coadd.layer import Box
from streamdiff_coadd.levels import remove_levels
from streamdiff_coadd.matched import Matching
from streamdiff_coadd.pixel_loops import clipped_means, medians
from streamdiff_coadd.stack import Stack

# The variance of a median of n is pi / 2 that of the mean.
_MEDIAN_VARIANCE = np.float32(np.pi / 2)
# Enough pixels to know a level by.
THIN = (slice(None, None, 3), slice(None, None, 3))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviationRules:
    """What counts as a deviation of an epoch from the static sky.

    Attributes
    ----------
    threshold : float
        Of a pixel, or a mean over the size of the PSF [sigma].
    grow_threshold : float
        Of pixels beside such a one [sigma].
    comparable : float
        Part of the largest deviation of any epoch.
    clip : float
        Values farther from the median do not enter the static sky [sigma].
    star_tolerance : float
        What errors of PSF, registration and flux scale may leave of a star,
        relative to its peak; more where most stars of an epoch show more.
    scale_variance : bool
        Whether sigma is that of the scatter of the emptiest sky, whatever the variance
        plane says.
    level_cell : int
        Distance over which the level of an epoch's sky may be wrong by different
        amounts [pixel]; 0 where it is right.
    """

    threshold: float
    grow_threshold: float
    comparable: float
    clip: float
    star_tolerance: float
    scale_variance: bool
    level_cell: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Strip:
    """Some rows of all epochs, at the common PSF.

    Attributes
    ----------
    images, variances : ndarray of float32, shape (n, n_rows, nx)
        The images are NaN where they are not usable.
    weights : ndarray of float32, shape (n,)
    """

    images: NDArray[np.float32]
    variances: NDArray[np.float32]
    weights: NDArray[np.float32]

    @classmethod
    def of(
        cls, stack: Stack, matchings: Sequence[Matching], box: Box, level_cell: int
    ) -> "Strip":
        """Return a box of all inputs, each with what matches it, at one level."""
        shape = (len(matchings), *(part.stop - part.start for part in box))
        images, variances = np.empty(shape, np.float32), np.empty(shape, np.float32)
        for i, (item, matching) in enumerate(zip(stack.inputs, matchings, strict=True)):
            pixels = matching.pixels(item.load(), box)
            images[i] = np.where(pixels.usable, pixels.image, np.float32(np.nan))
            # Convolution by Fourier transforms may ring below 0.
            np.maximum(pixels.variance, 0, out=variances[i])
        if level_cell:
            remove_levels(images, level_cell)
        weights = np.array([item.weight for item in stack.inputs])
        return cls(
            images=images,
            variances=variances,
            weights=np.asarray(weights / weights.sum(), np.float32),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StripModel:
    """The static sky on some rows; planes of shape (n_rows, nx).

    Attributes
    ----------
    image, variance : ndarray of float32
    n_usable : ndarray of uint16
    weight : ndarray of float32
        Sum over the epochs that are in the image.
    median : ndarray of float32
    sky : float32
        Level of the median between the sources.
    peaks : ndarray of float32
        Highest value of the median nearby, above the sky.
    tolerance : ndarray of float32
        Deviations that are no wonder.
    reach : ndarray of float32
        Farther beyond them no value is in the image [sigma].
    side : int
        Odd size of what is averaged to see faint and extended deviations.
    """

    image: NDArray[np.float32]
    variance: NDArray[np.float32]
    n_usable: NDArray[np.uint16]
    weight: NDArray[np.float32]
    median: NDArray[np.float32]
    sky: np.float32
    peaks: NDArray[np.float32]
    tolerance: NDArray[np.float32]
    reach: NDArray[np.float32]
    side: int

    @classmethod
    def of(cls, strip: Strip, side: int, rules: DeviationRules) -> "StripModel":
        """Return the weighted mean of what lies close to the median.

        How close is told by the variances: the scatter of a few values would hide
        the one that is odd, since of n values none is more than (n - 1) / sqrt(n)
        standard deviations from their mean.
        """
        shape = strip.images.shape[1:]
        median, n_usable = np.empty(shape, np.float32), np.empty(shape, np.uint16)
        medians(strip.images, median, n_usable)
        peaks = maximum_filter(median, side, mode="nearest")
        # A sky that has not been subtracted is no star.
        sky = np.median(median[THIN])
        peaks = np.maximum(peaks - sky, 0)
        tolerance = np.float32(rules.star_tolerance) * peaks
        extra = _MEDIAN_VARIANCE / np.maximum(n_usable, np.float32(1))
        reach = np.float32(rules.clip) * np.sqrt(1 + extra)
        planes = np.empty((3, *shape), np.float32)
        clipped_means(
            strip.images,
            strip.variances,
            strip.weights,
            median,
            tolerance,
            reach,
            planes,
        )
        return cls(
            image=planes[0],
            variance=planes[1],
            n_usable=n_usable,
            weight=planes[2],
            median=median,
            sky=sky,
            peaks=peaks,
            tolerance=tolerance,
            reach=reach,
            side=side,
        )
