"""Proper subtraction by sums over pixels, for stamps."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from streamdiff_zogy.filter_field import FilterField, middle
from streamdiff_zogy.filtering import Filtered
from streamdiff_zogy.pixels import PixelPair


def filter_stamps(pair: PixelPair, field: FilterField) -> Filtered:
    """Return what `filter_pair` does, by sums with the filters of the middle.

    The cost is that of a sum over the filters' squares for every pixel.
    """
    filters, side = field.at_centre, 2 * field.reach + 1

    def convolve(
        plane: NDArray[np.float32], stamps: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        kernel = middle(stamps, side)[0]
        summed: NDArray[np.float32] = ndimage.convolve(plane, kernel, mode="reflect")
        return summed

    science, template = pair.science, pair.template
    template_score = convolve(template.image, filters.template_score)
    return Filtered(
        difference=convolve(science.image, filters.science)
        - convolve(template.image, filters.template),
        power=convolve(science.power, np.square(filters.science))
        + convolve(template.power, np.square(filters.template)),
        score=convolve(science.image, filters.science_score) - template_score,
        score_variance=convolve(science.power, np.square(filters.science_score))
        + convolve(template.power, np.square(filters.template_score)),
        template_score=template_score,
    )
