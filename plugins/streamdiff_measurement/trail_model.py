"""A point source that moves evenly, as pixels: the PSF convolved with a line.

Made in Fourier space, where a line of length and direction (a, b) is
``sin(u) / u`` with ``u = (a k_x + b k_y) / 2``: exact for a well-sampled PSF, to the
digits of single precision.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import scipy.fft
from numpy.typing import NDArray

# Below this, the slope of sin(u) / u is -u / 3 to 2e-6; above, rounding is less.
_SMALL = 0.04


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrailModel:
    """Trails on square stamps.

    Attributes
    ----------
    spectrum : ndarray of complex64, shape (n, size, size // 2 + 1) or (1, ...)
        Of PSFs on the middle pixels of stamps.
    side, size : int
        Sides of stamps, and of the square that trails are made in [pixel].
    """

    spectrum: NDArray[np.complex64]
    side: int
    size: int

    @classmethod
    def of(cls, psf: NDArray[np.float64], margin: int) -> Self:
        """Return the model of trails on stamps as large as those of the PSF.

        Parameters
        ----------
        psf : ndarray of float64, shape (n, k, k) or (1, k, k)
            On the middle pixels.
        margin : int
            Of a trail that leaves its stamp, this much does not come in on the
            other side [pixel].
        """
        side = psf.shape[-1]
        size = scipy.fft.next_fast_len(side + margin, real=True)
        spectrum = scipy.fft.rfft2(psf, (size, size)).astype(np.complex64)
        return cls(spectrum=np.asarray(spectrum), side=side, size=size)

    def take(self, rows: NDArray[np.intp]) -> Self:
        """Return that of some of the stamps."""
        if len(self.spectrum) == 1:
            return self
        return replace(self, spectrum=self.spectrum[rows])

    def terms(self, trail: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return trails of flux 1 and their derivatives.

        Parameters
        ----------
        trail : ndarray of float64, shape (n, 4)
            Column and row of the middle, from that of the stamp, and the vector
            from one end to the other [pixel].

        Returns
        -------
        ndarray of float64, shape (n, 5, k * k)
            The trail, then its derivatives by the four.
        """
        ky = np.float32(2 * np.pi) * _frequencies(self.size)[:, np.newaxis]
        kx = np.abs(ky[: self.size // 2 + 1, 0])
        x, y, a, b = trail.T[:, :, np.newaxis, np.newaxis].astype(np.float32)
        half = (a * kx + b * ky) / 2
        small = np.abs(half) < _SMALL
        safe = np.where(small, 1, half)
        line = np.where(small, 1, np.sin(half) / safe)
        slope = np.where(small, -half / 3, (np.cos(half) - line) / safe)
        # Along each axis for itself, there are few exponentials.
        turn = np.complex64(-1j)
        moved = self.spectrum * (np.exp(turn * x * kx) * np.exp(turn * y * ky))
        there = moved * line
        slope *= np.float32(0.5)
        stretched = moved * slope
        spectra = np.stack(
            (
                there,
                turn * kx * there,
                turn * ky * there,
                stretched * kx,
                stretched * ky,
            ),
            axis=1,
        )
        pixels = scipy.fft.irfft2(spectra, (self.size, self.size))
        pixels = pixels[..., : self.side, : self.side]
        return np.asarray(pixels, float).reshape(len(trail), 5, -1)


def _frequencies(size: int) -> NDArray[np.float32]:
    """Return cycles per pixel, shape (size,)."""
    return np.asarray(scipy.fft.fftfreq(size), np.float32)
