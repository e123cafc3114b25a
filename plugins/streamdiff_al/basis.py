"""Basis kernels: Gaussians times polynomials (Alard & Lupton 1998, ApJ 503, 325)."""

from dataclasses import dataclass
from enum import StrEnum
from math import isclose

import numpy as np
from numpy.typing import NDArray

from streamdiff.errors import ConfigError
from streamdiff.model.psf import FWHM_PER_SIGMA

# Sums below this are those of odd polynomials, zero but for rounding.
_ZERO_SUM = 1e-9


class KernelBasis(StrEnum):
    """What a matching kernel is made of."""

    ALARD_LUPTON = "alard-lupton"
    """Gaussians times polynomials."""
    DELTA_FUNCTION = "delta-function"
    """Free pixels, kept smooth by regularisation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BasisRules:
    """How the basis follows from the widths of the two PSFs.

    Attributes
    ----------
    degrees : tuple of int
        Degree of the polynomial of each Gaussian.
    sigmas : tuple of float
        Widths [pixel] where they are not scaled, and for equal PSFs.
    scale_by_fwhm : bool
        Derive the widths from those of the PSFs.
    beta : float
        Ratio of the widths of successive Gaussians.
    min_sigma, min_sigma_deconvolution : float
        Smallest width [pixel]; the second where the wider PSF is convolved.
    size_per_sigma : float
        Side of the kernel over the width of the widest Gaussian.
    min_size, max_size : int
        Limits of the side.

    Raises
    ------
    ConfigError
        If there is not one width per degree, or the limits are even or crossed.
    """

    degrees: tuple[int, ...] = (4, 4, 2)
    sigmas: tuple[float, ...] = (0.7, 1.5, 3.0)
    scale_by_fwhm: bool = True
    beta: float = 2.0
    min_sigma: float = 0.7
    min_sigma_deconvolution: float = 0.4
    size_per_sigma: float = 6.0
    min_size: int = 21
    max_size: int = 35

    def __post_init__(self) -> None:
        if len(self.degrees) != len(self.sigmas) or not self.degrees:
            raise ConfigError(
                f"subtract.al: {len(self.degrees)} degrees, {len(self.sigmas)} sigmas: "
                "give one of each per Gaussian"
            )
        if min(self.sigmas) <= 0 or min(self.degrees) < 0:
            raise ConfigError(
                f"subtract.al: sigmas {self.sigmas} must be positive, "
                f"degrees {self.degrees} not negative"
            )
        if not (self.min_size % 2 and self.max_size % 2):
            raise ConfigError(
                "subtract.al: min_kernel_size and max_kernel_size must be odd, got "
                f"{self.min_size} and {self.max_size}"
            )
        if self.min_size > self.max_size:
            raise ConfigError(
                f"subtract.al: min_kernel_size {self.min_size} exceeds "
                f"max_kernel_size {self.max_size}"
            )

    def widths(self, fwhm: float, target_fwhm: float) -> tuple[float, ...]:
        """Return the widths of the Gaussians [pixel].

        Parameters
        ----------
        fwhm, target_fwhm : float
            Of the PSF to be convolved and the one to be matched [pixel].
        """
        if not self.scale_by_fwhm or isclose(fwhm, target_fwhm, rel_tol=1e-6):
            return self.sigmas
        narrow, wide = sorted((fwhm, target_fwhm))
        sigma = float(np.sqrt(wide**2 - narrow**2) / FWHM_PER_SIGMA)
        least = self.min_sigma if target_fwhm > fwhm else self.min_sigma_deconvolution
        n = len(self.degrees)
        first = max(least, sigma / self.beta if n > 1 else sigma)
        return tuple(first * self.beta**i for i in range(n))

    def size(self, widths: tuple[float, ...]) -> int:
        """Return the odd side of the kernel [pixel]."""
        side = int(self.size_per_sigma * max(widths)) | 1
        return min(max(side, self.min_size), self.max_size)


def alard_lupton_basis(
    size: int, sigmas: tuple[float, ...], degrees: tuple[int, ...]
) -> NDArray[np.float64]:
    """Return Gaussians times polynomials; shape (n_basis, size, size).

    Parameters
    ----------
    size : int
        Odd side of the kernels.
    sigmas : tuple of float
        Widths of the Gaussians [pixel].
    degrees : tuple of int
        Each Gaussian is multiplied by all terms u^p v^q with p + q at most its
        degree, u and v running from -1 to 1 over the kernel.

    Notes
    -----
    The first kernel sums to 1. The others sum to 0, and their squares to 1: only
    the first changes the flux, so that the sum of a spatially varying kernel is
    constant if the coefficient of the first is (Alard 2000, A&AS 144, 363).
    """
    if size % 2 == 0:
        raise ValueError(f"kernels must have odd sides, got {size}")
    offset = np.arange(size) - size // 2
    u = offset / max(size // 2, 1)
    kernels = []
    for sigma, degree in zip(sigmas, degrees, strict=True):
        gaussian = np.exp(-0.5 * np.square(offset / sigma))
        gaussian /= gaussian.sum()
        powers = [gaussian * u**p for p in range(degree + 1)]
        kernels += [
            np.outer(powers[q], powers[total - q])
            for total in range(degree + 1)
            for q in range(total + 1)
        ]
    return _renormalised(np.array(kernels))


def _renormalised(kernels: NDArray[np.float64]) -> NDArray[np.float64]:
    first, rest = kernels[:1], kernels[1:]
    sums = rest.sum(axis=(1, 2), keepdims=True)
    first = first / first.sum()
    has_sum = np.abs(sums) > _ZERO_SUM * np.abs(rest).sum(axis=(1, 2), keepdims=True)
    rest = np.where(has_sum, rest / np.where(has_sum, sums, 1) - first, rest)
    norms = np.sqrt(np.square(rest).sum(axis=(1, 2), keepdims=True))
    # A polynomial that vanishes on a tiny kernel adds nothing, whatever its norm.
    rest = rest / np.where(norms > 0, norms, 1)
    return np.concatenate([first, rest])
