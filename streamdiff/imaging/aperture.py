"""Circular apertures: how much of a star is in them."""

import numpy as np
import sep
from numpy.typing import NDArray

from streamdiff.model import ApertureCorrections, Psf

_NODES = 9


def enclosed_fraction(stamp: NDArray[np.float64], radius: float) -> float:
    """Return the part of a PSF, in the middle of its stamp, within a circle.

    Parameters
    ----------
    stamp : ndarray of float64, shape (ky, kx)
        With odd sides; sums to 1.
    radius : float
        Of the circle [pixel]; pixels count by their exact part in it.
    """
    ky, kx = stamp.shape
    contiguous = np.ascontiguousarray(stamp, float)
    flux, _, _ = sep.sum_circle(contiguous, [kx // 2], [ky // 2], radius, subpix=0)
    return float(flux[0])


def aperture_corrections(
    psf: Psf, image_shape: tuple[int, int], radius: float
) -> ApertureCorrections:
    """Return what makes fluxes within a circle those of whole stars.

    Parameters
    ----------
    psf : Psf
    image_shape : tuple of int
        (height, width) of the image.
    radius : float
        Of the circle [pixel].

    Raises
    ------
    InvalidExposureError
        If a circle holds nothing of a star.
    """
    y, x = (np.linspace(0, max(n - 1, 1), _NODES) for n in image_shape)
    fractions = np.array(
        [[enclosed_fraction(psf.centred_at(u, v), radius) for u in x] for v in y]
    )
    with np.errstate(divide="ignore"):
        values = np.where(fractions > 0, 1 / fractions, np.nan)
    return ApertureCorrections(radius=radius, values=values, x=x, y=y)
