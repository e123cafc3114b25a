"""Sources that vary: deviations that are no artifacts, though few epochs show them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from streamdiff_coadd.layer import Box, Layer
from streamdiff_coadd.matched import Matching
from streamdiff_coadd.static_sky import StaticSky

# A source of the static sky, for deviations to be centred on [sigma].
_SOURCE_SNR = 10.0
# Radius in which the shape of its deviation is judged [FWHM of the common PSF].
_JUDGED = 1.2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VariableSources:
    """Tells which deviations have the shape of the PSF, on a source.

    Attributes
    ----------
    sky : StaticSky
    peaks : ndarray of int64, shape (n, 2)
        Rows and columns of the peaks of its sources.
    level : float32
        Of the sky between them.
    psf_likeness : float
        Smallest cosine of the angle between a deviation and the PSF.
    max_variation : float
        Largest deviation over the static source.
    """

    sky: StaticSky
    peaks: NDArray[np.int64]
    level: np.float32
    psf_likeness: float
    max_variation: float

    @classmethod
    def of(
        cls,
        sky: StaticSky,
        snr: NDArray[np.float32],
        *,
        psf_likeness: float,
        max_variation: float,
    ) -> "VariableSources":
        """Return the sources of the static sky, given its signal over noise."""
        return cls(
            sky=sky,
            peaks=_peaks(snr, sky.psf.fwhm),
            level=sky.level,
            psf_likeness=psf_likeness,
            max_variation=max_variation,
        )

    def keep(self, found: NDArray[np.bool_], matching: Matching, layer: Layer) -> None:
        """Take the sources that vary out of the artifacts found in an epoch.

        The disc of a source ends where its deviation is lost in the noise.
        """
        rows, columns = self.peaks.T
        for row, column in self.peaks[found[rows, columns]]:
            radius = self._varies_within(matching, layer, row, column)
            layer.let_go()
            if radius:
                box = self._around(row, column, radius)
                found[box] &= _distances(box, row, column) > radius

    def _varies_within(
        self, matching: Matching, layer: Layer, row: int, column: int
    ) -> float:
        """Return the radius of the deviation of a static source; 0 if it is none."""
        judged = _JUDGED * self.sky.psf.fwhm
        box = self._around(row, column, judged)
        pixels = matching.pixels(layer, box)
        distance = _distances(box, *self._centre(row, column))
        inside = distance <= judged
        values = (pixels.image - self.sky.image[box])[inside].astype(float)
        variance = (pixels.variance + self.sky.variance[box])[inside].astype(float)
        psf = np.exp2(-np.square(2 * distance[inside] / self.sky.psf.fwhm))
        # Noise makes the shape no less that of the PSF.
        power = max(values @ values - variance.sum(), 0.0)
        product = float(psf @ values)
        if abs(product) < self.psf_likeness * np.sqrt((psf @ psf) * power):
            return 0.0
        peak, sigma = abs(product) / (psf @ psf), np.sqrt(variance.mean())
        own = self.sky.image[row, column] - self.level
        if not sigma < peak <= self.max_variation * own:
            return 0.0
        return float(self.sky.psf.fwhm * (0.5 + np.sqrt(np.log2(peak / sigma)) / 2))

    def _centre(self, row: int, column: int) -> tuple[float, float]:
        """Return the position of a peak to a part of a pixel, by a parabola."""
        lines = (self.sky.image[:, column], row), (self.sky.image[row], column)
        y, x = (_vertex(line, at) for line, at in lines)
        return y, x

    def _around(self, row: int, column: int, radius: float) -> Box:
        reach = int(np.ceil(radius))
        rows, columns = (
            slice(max(int(v) - reach, 0), min(int(v) + reach + 1, n))
            for v, n in zip((row, column), self.sky.image.shape, strict=True)
        )
        return rows, columns


def _peaks(snr: NDArray[np.float32], width: float) -> NDArray[np.int64]:
    """Return the pixels that are the highest within about a width [pixel]."""
    # Neighbours may be means of different epochs: single pixels mean little.
    smooth = ndimage.uniform_filter(snr, 3, mode="nearest")
    highest = ndimage.maximum_filter(smooth, int(width) | 1, mode="nearest")
    return np.argwhere((smooth == highest) & (snr > _SOURCE_SNR))


def _vertex(line: NDArray[np.float32], at: int) -> float:
    low, middle, high = line[np.clip([at - 1, at, at + 1], 0, line.size - 1)].tolist()
    curvature = 2 * middle - low - high
    shift = (high - low) / (2 * curvature) if curvature > 0 else 0.0
    return float(at + np.clip(shift, -0.5, 0.5))


def _distances(box: Box, y: float, x: float) -> NDArray[np.float64]:
    """Return the distances of the pixels of a box from a position [pixel]."""
    rows, columns = np.ogrid[box]
    distances: NDArray[np.float64] = np.hypot(rows - y, columns - x)
    return distances
