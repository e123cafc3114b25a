"""Which of the two images is convolved, and with what."""

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from streamdiff.model import Exposure
from streamdiff_al.discrete_gaussian import discrete_gaussian
from streamdiff_al.psf_shapes import contains, second_moments, smallest_excess

# Where the Gaussian between two PSFs is narrower along any axis [pixel], pixels do
# not tell the matching kernel from noise: it is made wider by a second kernel.
_MARGIN = 0.7


class Direction(StrEnum):
    """Which image is convolved."""

    AUTO = "auto"
    """The sharper one; both, where neither is sharper everywhere along every axis."""
    TEMPLATE = "template"
    """The template alone."""
    SCIENCE = "science"
    """The science image alone."""
    COMMON = "common"
    """The science image with a Gaussian, as narrow as it may be for its PSF to
    contain the template's; and the template to match it."""
    PRECONVOLVE = "preconvolve"
    """The science image with its own PSF, as a matched filter does; and the template
    to match it."""


def choose_direction(
    direction: Direction, science: Exposure, template: Exposure
) -> Direction:
    """Return the direction that ``auto`` stands for; any other one as it is.

    Notes
    -----
    No image is ever deconvolved: PSFs of about equal width, and those elongated
    along different axes or varying differently over the image, take ``common``.
    A template that is wider by far is left alone already where it is nowhere narrower.
    """
    if direction != Direction.AUTO:
        return direction
    psf, template_psf = (second_moments(e.psf, e.shape) for e in (science, template))
    if contains(psf, template_psf, _MARGIN):
        return Direction.TEMPLATE
    if contains(template_psf, psf, _MARGIN) or _is_wider(template_psf, psf):
        return Direction.SCIENCE
    return Direction.COMMON


def _is_wider(wide: NDArray[np.float64], narrow: NDArray[np.float64]) -> bool:
    """Return whether a PSF is wider by far, and nowhere narrower.

    Then a narrow kernel in places is the lesser evil: ``common`` would smooth the
    sharp science image, and whitening sharpen the wide template in return.
    """
    excess = np.linalg.eigvalsh(wide - narrow)
    return bool(excess.min() >= 0 and excess.mean() >= 2 * _MARGIN**2)


def science_kernel(
    direction: Direction, science: Exposure, template: Exposure
) -> NDArray[np.float64] | None:
    """Return the kernel of the science image where both images are convolved.

    Returns
    -------
    ndarray of float64, shape (ky, kx), or None
        Odd sides, sum 1.
    """
    if direction == Direction.COMMON:
        own, wanted = (second_moments(e.psf, e.shape) for e in (science, template))
        return discrete_gaussian(smallest_excess(own, wanted, _MARGIN))
    if direction == Direction.PRECONVOLVE:
        height, width = science.shape
        stamp = science.psf.centred_at((width - 1) / 2, (height - 1) / 2)
        reflected: NDArray[np.float64] = stamp[::-1, ::-1] / stamp.sum()
        return reflected
    return None
