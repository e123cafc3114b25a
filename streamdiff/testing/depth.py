"""How well a flux can be measured at best."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from streamdiff.model import Psf
from streamdiff.model.psf import nearest_pixel


def ideal_flux_error(
    science_psf: NDArray[np.float64],
    template_psf: NDArray[np.float64],
    science_variance: float,
    template_variance: float,
) -> float:
    """Return the standard deviation of the flux of a change of known position.

    Parameters
    ----------
    science_psf, template_psf : ndarray of float64, shape (ky, kx)
        Of sum 1, centred on a pixel.
    science_variance, template_variance : float
        Of a pixel; the noise is white [nJy**2].

    Notes
    -----
    This is the matched filter on the optimal difference image, with everything
    else known (Zackay, Ofek & Gal-Yam 2016, ApJ 830, 27). Per frequency, the
    static sky is unknown and the change has the power |P_n|**2, the noise in
    its way s_n + s_r |P_n|**2 / |P_r|**2; information adds over frequencies.
    Without template noise it is sqrt(NEA s_n).
    """
    size = 2 * max(*science_psf.shape, *template_psf.shape)
    new, reference = (
        np.square(np.abs(fft.fft2(p, s=(size, size))))
        for p in (science_psf, template_psf)
    )
    noise = science_variance * reference + template_variance * new
    tiny = np.finfo(float).tiny
    information = np.mean(new * reference / np.maximum(noise, tiny))
    return float(1 / np.sqrt(information))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Depth:
    """The smallest possible flux error anywhere on a pair of images.

    Attributes
    ----------
    science_psf, template_psf : Psf
    science_variance, template_variance : ndarray of float64, shape (ny, nx)
        For fluxes on one scale [nJy**2]. The template is on the science
        image's pixels.
    """

    science_psf: Psf
    template_psf: Psf
    science_variance: NDArray[np.float64]
    template_variance: NDArray[np.float64]

    def flux_error(self, x: float, y: float) -> float:
        """Return the smallest possible error of a flux at (x, y) [nJy].

        The noise around is taken as white, of its mean variance within the PSF.
        """
        psf = self.science_psf.centred_at(x, y)
        return ideal_flux_error(
            psf,
            self.template_psf.centred_at(x, y),
            _mean_around(self.science_variance, psf, x, y),
            _mean_around(self.template_variance, psf, x, y),
        )


def _mean_around(
    plane: NDArray[np.float64], psf: NDArray[np.float64], x: float, y: float
) -> float:
    """Return the mean of a plane as a PSF flux at (x, y) weights its pixels."""
    half = psf.shape[0] // 2
    (column, row), (height, width) = nearest_pixel(x, y), plane.shape
    steps = np.arange(-half, half + 1)
    rows = np.clip(row + steps, 0, height - 1)
    columns = np.clip(column + steps, 0, width - 1)
    return float(np.average(plane[np.ix_(rows, columns)], weights=np.square(psf)))
