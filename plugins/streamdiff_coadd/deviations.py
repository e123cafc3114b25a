"""The static sky on a strip of rows, and where single epochs deviate from it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, uniform_filter

from streamdiff.imaging.noise import robust_std
from streamdiff_coadd.layer import Box
from streamdiff_coadd.matched import Matching
from streamdiff_coadd.pixel_loops import clipped_means, medians
from streamdiff_coadd.stack import Stack

# The variance of a median of n is pi / 2 that of the mean.
_MEDIAN_VARIANCE = np.float32(np.pi / 2)
# Enough pixels to know a level by.
THIN = (slice(None, None, 3), slice(None, None, 3))
# The scatter of blank sky is taken from no fewer, where no more is forgiven [sigma].
_FEWEST_PIXELS, _BLANK = 1000, 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviationRules:
    """What counts as a deviation of an epoch from the static sky.

    Attributes
    ----------
    threshold : float
        Of a pixel, or a mean over the size of the PSF [sigma].
    grow_threshold : float
        Of pixels beside such a one [sigma].
    clip : float
        Values farther from the median do not enter the static sky [sigma].
    star_tolerance : float
        What errors of PSF, registration and flux scale may leave of a star,
        relative to its peak.
    scale_variance : bool
        Whether sigma is that of the scatter of blank sky, whatever the variance
        plane says.
    """

    threshold: float
    grow_threshold: float
    clip: float
    star_tolerance: float
    scale_variance: bool


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
    def of(cls, stack: Stack, matchings: Sequence[Matching], box: Box) -> "Strip":
        """Return a box of all inputs, each with what matches it."""
        shape = (len(matchings), *(part.stop - part.start for part in box))
        images, variances = np.empty(shape, np.float32), np.empty(shape, np.float32)
        for i, (item, matching) in enumerate(zip(stack.inputs, matchings, strict=True)):
            pixels = matching.pixels(item.load(), box)
            images[i] = np.where(pixels.usable, pixels.image, np.float32(np.nan))
            # Convolution by Fourier transforms may ring below 0.
            np.maximum(pixels.variance, 0, out=variances[i])
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
        tolerance = np.float32(rules.star_tolerance) * np.maximum(peaks - sky, 0)
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
            tolerance=tolerance,
            reach=reach,
            side=side,
        )

    def deviations(
        self, strip: Strip, number: int, rules: DeviationRules
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return where an epoch deviates strongly, and where at all."""
        image, variance = strip.images[number], strip.variances[number]
        significance = self._significance(image, variance, strip.weights[number])
        if rules.scale_variance:
            significance /= self._scatter(significance, image, variance)
        smooth = uniform_filter(significance, self.side, mode="nearest")
        tested = np.isfinite(image)
        scatter = robust_std(smooth[THIN][tested[THIN]])
        # Where nothing scatters, nothing is faint and extended.
        smooth /= np.float32(scatter if scatter > 0 else np.inf)
        size = np.maximum(np.abs(significance), np.abs(smooth))
        size[~tested] = 0
        return size > rules.threshold, size > rules.grow_threshold

    def _significance(
        self,
        image: NDArray[np.float32],
        variance: NDArray[np.float32],
        weight: np.float32,
    ) -> NDArray[np.float32]:
        """Return how far beyond the tolerance pixels are [sigma]; 0 without data."""
        limit = self.tolerance + self.reach * np.sqrt(variance)
        share = np.where(np.abs(image - self.median) <= limit, weight, np.float32(0))
        share /= np.where(self.weight > 0, self.weight, np.float32(1))
        # An epoch's noise is part of that of the mean that it is compared with.
        noise = variance * (1 - 2 * share) + self.variance
        difference = image - self.image
        beyond = np.maximum(np.abs(difference) - self.tolerance, 0)
        known = np.isfinite(image) & (noise > 0)
        signed = np.copysign(beyond, difference)
        significance: NDArray[np.float32] = np.where(
            known, signed / np.sqrt(np.where(known, noise, 1)), np.float32(0)
        )
        return significance

    def _scatter(
        self,
        significance: NDArray[np.float32],
        image: NDArray[np.float32],
        variance: NDArray[np.float32],
    ) -> np.float32:
        """Return the scatter of blank sky [sigma], 1 where there is too little."""
        forgiven = _BLANK * np.sqrt(variance[THIN])
        blank = np.isfinite(image[THIN]) & (self.tolerance[THIN] < forgiven)
        values = significance[THIN][blank]
        scatter = robust_std(values) if values.size >= _FEWEST_PIXELS else 1.0
        return np.float32(scatter if scatter > 0 else 1)
