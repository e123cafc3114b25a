"""One cell of an image: what its filters make of the pixels around it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from streamdiff.imaging.blocks import Blocks, mix
from streamdiff.imaging.compiled import compiled
from streamdiff_zogy.block_filters import NodeFilters, NoiseFilters, Spectrum

Pixels: TypeAlias = NDArray[np.float32]

# With fewer products per pixel, a sum over pixels that are not 0 is faster than
# transforms.
_FEW = 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cell:
    """The filters of one cell, whose results have the shape (height, width).

    Attributes
    ----------
    blocks : Blocks
    corners : tuple of NodeFilters
        Those of its lower left, lower right, upper left and upper right corner.
    noise : NoiseFilters
    weights : tuple of ndarray of float32, shapes (height, 1) and (width,)
        How far, from 0 to 1, pixels are from the lower and the left border.
    """

    blocks: Blocks
    corners: tuple[NodeFilters, NodeFilters, NodeFilters, NodeFilters]
    noise: NoiseFilters
    weights: tuple[NDArray[np.float32], NDArray[np.float32]]

    def transform(self, pixels: Pixels) -> Spectrum:
        """Return the transform of the pixels of the block."""
        spectrum: Spectrum = fft.rfft2(pixels, s=self.blocks.padded)
        return spectrum

    def difference_and_score(
        self, science: Spectrum, template: Spectrum
    ) -> tuple[Pixels, Pixels]:
        """Return the difference of two images, and its score."""
        made = {}
        for corner in set(self.corners):
            spectrum = science * corner.science
            spectrum -= template * corner.template
            score = self.blocks.invert(spectrum * corner.matched)
            made[corner] = self.blocks.invert(spectrum), score
        return (
            self._blended(lambda corner: made[corner][0]),
            self._blended(lambda corner: made[corner][1]),
        )

    def matched_template(self, template: Spectrum) -> Pixels:
        """Return what of the difference was subtracted."""
        return self._blended(lambda c: self.blocks.invert(template * c.template))

    def template_score(self, template: Spectrum) -> Pixels:
        """Return what of the score was subtracted."""
        return self.blocks.invert(template * self.noise.score[1])

    def variances(
        self, powers: Sequence[Spectrum], errors: Sequence[Pixels]
    ) -> tuple[Pixels, Pixels]:
        """Return the noise power of the difference and the variance of the score.

        Parameters
        ----------
        powers : sequence of ndarray of complex64
            Noise powers of both images.
        errors : sequence of ndarray of float32
            What of both images may be wrong, all of it the same way; may be empty.
        """
        noise = self.noise
        power, variance = (
            self.blocks.invert(powers[0] * squares[0] + powers[1] * squares[1])
            for squares in (noise.plain_squares, noise.score_squares)
        )
        if not self._is_constant:
            variance *= self._psf_power
        for number, error in enumerate(errors):
            power += np.square(
                self._filtered(error, noise.plain_stamps[number], noise.plain[number])
            )
            variance += np.square(
                self._filtered(error, noise.score_stamps[number], noise.score[number])
            )
        return power, variance

    def _filtered(self, pixels: Pixels, stamp: Pixels, spectrum: Spectrum) -> Pixels:
        """Return pixels, most of which are 0, filtered."""
        if np.count_nonzero(pixels) * stamp.size > _FEW * pixels.size:
            return self.blocks.invert(self.transform(pixels) * spectrum)
        filtered = np.zeros(self.blocks.cell, np.float32)
        _add_stamps(pixels, stamp, filtered)
        return filtered

    @property
    def _is_constant(self) -> bool:
        return all(corner is self.corners[0] for corner in self.corners)

    @property
    def _psf_power(self) -> Pixels:
        """Return the sum of the squares of the local PSF, over that of the noise's."""
        shape, own = self.blocks.cell, self.noise.psf_power
        return self._blended(lambda c: np.full(shape, c.psf_power / own, np.float32))

    def _blended(self, at: Callable[[NodeFilters], Pixels]) -> Pixels:
        """Return the bilinear mean of what the four corners make."""
        if self._is_constant:
            return at(self.corners[0])
        weight_y, weight_x = self.weights
        lower, upper = (
            mix(at(left), at(right), weight_x)
            for left, right in (self.corners[:2], self.corners[2:])
        )
        return mix(lower, upper, weight_y)


@compiled
def _add_stamps(pixels: Pixels, stamp: Pixels, filtered: Pixels) -> None:
    """Add a stamp for each pixel of a block to what it makes of the cell within."""
    side = len(stamp)
    height, width = filtered.shape
    for y in range(pixels.shape[0]):
        for x in range(pixels.shape[1]):
            value = pixels[y, x]
            if value == 0:
                continue
            left, right = max(x - side + 1, 0), min(x + 1, width)
            for row in range(max(y - side + 1, 0), min(y + 1, height)):
                line = stamp[row + side - 1 - y, left + side - 1 - x :]
                target = filtered[row, left:right]
                for i in range(right - left):
                    target[i] += value * line[i]
