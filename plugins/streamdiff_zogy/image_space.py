"""Proper subtraction by sums over pixels, for stamps."""

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.compact import convolve_compact
from streamdiff_zogy.filter_field import FilterField, middle
from streamdiff_zogy.filtering import Filtered
from streamdiff_zogy.pixels import PixelPair, doubtful


def filter_stamps(
    pair: PixelPair, field: FilterField, *, matched_template: bool = False
) -> Filtered:
    """Return what `filter_pair` does, by sums with the filters of the middle.

    The cost is that of a sum over the filters' squares for every pixel.
    """
    filters, margin = field.at_centre, field.reach

    def convolve(
        plane: NDArray[np.float32], stamp: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        kernel = middle(stamp, 2 * margin + 1)[np.newaxis]
        filtered = convolve_compact(plane, kernel, np.ones((1, 1, 1)))
        return filtered[margin:-margin, margin:-margin]

    both = pair.science, pair.template

    def noise(*stamps: NDArray[np.float64]) -> NDArray[np.float32]:
        variance = np.zeros(field.image_shape, np.float32)
        for pixels, stamp in zip(both, stamps, strict=True):
            variance += convolve(pixels.power, np.square(stamp))
            error = convolve(doubtful(pixels.image, pair.doubt), stamp)
            variance += np.square(error)
        return variance

    matched = convolve(pair.template.image, filters.template)
    template_score = convolve(pair.template.image, filters.template_score)
    return Filtered(
        difference=convolve(pair.science.image, filters.science) - matched,
        power=noise(filters.science, filters.template),
        score=convolve(pair.science.image, filters.science_score) - template_score,
        score_variance=noise(filters.science_score, filters.template_score),
        template_score=template_score,
        matched_template=matched if matched_template else None,
    )
