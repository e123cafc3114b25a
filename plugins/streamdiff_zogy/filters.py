"""The filters of proper subtraction: Zackay, Ofek & Gal-Yam 2016, ApJ 830, 27.

With the new image N, the reference R, their PSFs P_n and P_r, flux scales F_n and
F_r = 1, and noise powers s_n and s_r, the proper difference (their Eq. 13), brought
to the flux scale of R, is N * K_n - R * K_r with

    K_n = P_r / (F_n q),  K_r = P_n / q,
    q^2 = (s_n |P_r|^2 + s_r F_n^2 |P_n|^2) / (s_n + s_r F_n^2).

q is 1 at frequency 0, where no PSF changes anything. The noise power is
s_n / F_n^2 + s_r at all frequencies, and the PSF (Eq. 14) P_n P_r / q. Filtered with
its own PSF, the difference is the score (Eq. 12), up to its scale.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

# Where both PSFs pass less than this of an amplitude, they are not known: there the
# filters are those of two images of the same PSF.
_UNKNOWN = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProperFilters:
    """Transforms of the filters at one or several positions.

    Attributes
    ----------
    science, template : ndarray of complex, shape (..., ny, nx)
        K_n and K_r.
    psf : ndarray of complex, shape (..., ny, nx)
        PSF of the difference.
    """

    science: NDArray[Any]
    template: NDArray[Any]
    psf: NDArray[Any]

    @classmethod
    def of(
        cls,
        science_psf: NDArray[Any],
        template_psf: NDArray[Any],
        *,
        science_share: float,
        flux_ratio: float,
    ) -> "ProperFilters":
        """Return the filters of two PSFs.

        Parameters
        ----------
        science_psf, template_psf : ndarray of complex, shape (..., ny, nx)
            Transforms of the PSFs, the middle of their stamps at the origin.
        science_share : float
            s_n / (s_n + s_r F_n^2), in [0, 1].
        flux_ratio : float
            F_n, positive.

        Notes
        -----
        Where q falls to 0, both PSFs get the same small amplitude: the noise stays
        white there, and stars, which have no light there, subtract as before.
        """
        power = _mean_power(science_psf, template_psf, science_share)
        unknown = 1 / (1 + power / np.float32(_UNKNOWN**2))
        known_science, known_template = (
            psf + unknown * (np.float32(_UNKNOWN) - psf)
            for psf in (science_psf, template_psf)
        )
        scale = 1 / np.sqrt(_mean_power(known_science, known_template, science_share))
        of_science = known_template * scale
        return cls(
            science=of_science / np.float32(flux_ratio),
            template=known_science * scale,
            psf=of_science * science_psf,
        )

    def of_score(self) -> "ProperFilters":
        """Return the filters that make the score from the same images."""
        matched = np.conj(self.psf)
        return ProperFilters(
            science=self.science * matched,
            template=self.template * matched,
            psf=self.psf * matched,
        )


def _mean_power(
    science: NDArray[Any], template: NDArray[Any], science_share: float
) -> NDArray[Any]:
    """Return q^2."""
    power: NDArray[Any] = _power(template)
    power *= science_share
    power += (1 - science_share) * _power(science)
    return power


def _power(spectrum: NDArray[Any]) -> NDArray[Any]:
    power: NDArray[Any] = np.square(spectrum.real) + np.square(spectrum.imag)
    return power


def transform_centred(stamps: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """Return the transforms of stamps, their middle pixels at the origin.

    Parameters
    ----------
    stamps : ndarray of float, shape (..., ky, kx)
        Odd sides, no larger than the grid.
    shape : tuple of int
        (height, width) of the grid.

    Returns
    -------
    ndarray of complex, shape (..., height, width // 2 + 1)
    """
    y, x = (k // 2 for k in stamps.shape[-2:])
    grid = np.zeros((*stamps.shape[:-2], *shape), stamps.dtype)
    # Quarter by quarter: a shift of the whole grid would take as long as its transform.
    grid[..., : y + 1, : x + 1] = stamps[..., y:, x:]
    grid[..., : y + 1, shape[1] - x :] = stamps[..., y:, :x]
    grid[..., shape[0] - y :, : x + 1] = stamps[..., :y, x:]
    grid[..., shape[0] - y :, shape[1] - x :] = stamps[..., :y, :x]
    spectra: NDArray[Any] = fft.rfft2(grid)
    return spectra


def stamp_of(spectrum: NDArray[Any], side: int) -> NDArray[Any]:
    """Return filters of transforms on a square of odd side, the origin in the middle.

    Parameters
    ----------
    spectrum : ndarray of complex, shape (..., side, side // 2 + 1)
    side : int
    """
    pixels = fft.irfft2(spectrum, s=(side, side), overwrite_x=True)
    half = side // 2
    stamp: NDArray[Any] = np.empty_like(pixels)
    stamp[..., half:, half:] = pixels[..., : half + 1, : half + 1]
    stamp[..., half:, :half] = pixels[..., : half + 1, half + 1 :]
    stamp[..., :half, half:] = pixels[..., half + 1 :, : half + 1]
    stamp[..., :half, :half] = pixels[..., half + 1 :, half + 1 :]
    return stamp


def fast_odd_side(side: int) -> int:
    """Return the next odd side of squares that are transformed fast."""
    side += 1 - side % 2
    while fft.next_fast_len(side, real=True) != side:
        side += 2
    return side
