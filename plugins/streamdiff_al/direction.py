"""Which of the two images is convolved."""

from enum import StrEnum

import numpy as np

from streamdiff.model import Convolved, Exposure, Psf
from streamdiff.model.psf import fwhm

# PSFs are compared on so many positions along each axis.
_NODES = 3


class Direction(StrEnum):
    """Which image is convolved: one by name, or the sharper one."""

    AUTO = "auto"
    TEMPLATE = "template"
    SCIENCE = "science"


def mean_fwhm(psf: Psf, shape: tuple[int, int]) -> float:
    """Return the mean width of a PSF over an image of a shape (ny, nx) [pixel]."""
    y, x = ((np.arange(_NODES) + 0.5) / _NODES * n - 0.5 for n in shape)
    return float(np.mean([fwhm(psf.centred_at(u, v)) for v in y for u in x]))


def choose_convolved(
    direction: Direction, science: Exposure, template: Exposure
) -> Convolved:
    """Return which image to convolve.

    Notes
    -----
    With ``auto`` it is the sharper one in the mean over both axes, so that no
    image is deconvolved but for a difference of shape. Equal PSFs: the template,
    whose noise is the smaller.
    """
    if direction != Direction.AUTO:
        return Convolved(direction)
    widths = [mean_fwhm(e.psf, e.shape) for e in (science, template)]
    return Convolved.SCIENCE if widths[0] < widths[1] else Convolved.TEMPLATE
