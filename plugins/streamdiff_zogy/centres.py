"""Where the light of a PSF is centred."""

import numpy as np

from streamdiff.errors import SubtractionError
from streamdiff.imaging.moments import adaptive_moments
from streamdiff.model import Exposure
from streamdiff.model.psf import FWHM_PER_SIGMA, fwhm


def psf_centre(exposure: Exposure) -> tuple[float, float]:
    """Return how far the PSF of an exposure is off the middle of its stamp [pixel].

    It is that of the middle of the image; NaN where there is no centroid.
    """
    height, width = exposure.shape
    stamp = exposure.psf.centred_at((width - 1) / 2, (height - 1) / 2)
    y, x = (n // 2 for n in stamp.shape)
    moments = adaptive_moments(
        stamp.astype(np.float32),
        np.full(stamp.shape, np.square(stamp.max()), np.float32),
        np.zeros(stamp.shape, bool),
        np.array([float(x)]),
        np.array([float(y)]),
        sigma=fwhm(stamp) / FWHM_PER_SIGMA,
        radius=min(x, y),
    )
    return float(moments.x[0]) - x, float(moments.y[0]) - y


def check_centres(science: Exposure, template: Exposure, max_offset: float) -> None:
    """Refuse PSFs that are centred at different places of their pixels.

    Raises
    ------
    SubtractionError
        If they are farther apart than ``max_offset`` [pixel].
    """
    (x, y), (u, v) = (psf_centre(e) for e in (science, template))
    offset = np.hypot(x - u, y - v)
    if offset > max_offset:
        raise SubtractionError(
            f"{science.id}: the PSFs of science image and template are centred "
            f"{offset:.2f} px apart, {max_offset:g} px are allowed: every star would "
            "be a dipole; centre both on the middle pixel of their stamps"
        )
