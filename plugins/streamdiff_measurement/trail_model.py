"""A point source that moves evenly, as pixels: the PSF convolved with a line.

Made in Fourier space, where a line of length and direction (a, b) is
``sin(u) / u`` with ``u = (a k_x + b k_y) / 2``: exact for a well-sampled PSF, to the
digits of single precision.
"""

from dataclasses import dataclass, replace
from math import cos, sin
from typing import Self

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from streamdiff.imaging.compiled import compiled

# Below this, the slope of sin(u) / u is -u / 3 to 1e-9; above, rounding is less.
_SMALL = 1e-3


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

    def take(self, rows: NDArray[np.bool_]) -> Self:
        """Return that of some of the stamps."""
        if len(self.spectrum) == 1:
            return self
        return replace(self, spectrum=self.spectrum[rows])

    def terms(
        self, trail: NDArray[np.float64], usable: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Return trails of flux 1 and their derivatives.

        Parameters
        ----------
        trail : ndarray of float64, shape (n, 4)
            Column and row of the middle, from that of the stamp, and the vector
            from one end to the other [pixel].
        usable : ndarray of bool, shape (n, k * k)
            Terms are 0 elsewhere.

        Returns
        -------
        ndarray of float64, shape (n, 5, k * k)
            The trail, then its derivatives by the four.
        """
        n, side, size = len(trail), self.side, self.size
        spectra = np.empty((n, 5, size, size // 2 + 1), np.complex64)
        _fill_spectra(self.spectrum, trail, _frequencies(size), spectra)
        pixels = scipy.fft.irfft2(spectra, (size, size), overwrite_x=True)
        shown = usable.reshape(n, 1, side, side)
        terms = np.empty((n, 5, side, side))
        np.multiply(pixels[..., :side, :side], shown, out=terms)
        return terms.reshape(n, 5, side * side)


@compiled
def _fill_spectra(
    psf: NDArray[np.complex64],
    trails: NDArray[np.float64],
    frequencies: NDArray[np.float64],
    spectra: NDArray[np.complex64],
) -> None:
    """Fill in the spectra of trails and of their derivatives."""
    n, _, n_rows, n_columns = spectra.shape
    turn_x, turn_y = np.empty(n_columns, np.complex128), 0j
    half_x, sin_x, cos_x = np.empty((3, n_columns))
    for i in range(n):
        x, y, a, b = trails[i]
        of_psf = psf[min(i, len(psf) - 1)]
        for column in range(n_columns):
            # Of an even size, the last one is that of the other sign.
            kx = abs(frequencies[column])
            turn_x[column] = np.exp(-1j * kx * x)
            half_x[column] = kx * a / 2
            sin_x[column], cos_x[column] = sin(half_x[column]), cos(half_x[column])
        for row in range(n_rows):
            ky = frequencies[row]
            turn_y, half_y = np.exp(-1j * ky * y), ky * b / 2
            sin_y, cos_y = sin(half_y), cos(half_y)
            for column in range(n_columns):
                kx, u = abs(frequencies[column]), half_x[column] + half_y
                line, slope = 1.0, -u / 3
                if abs(u) > _SMALL:
                    line = (sin_x[column] * cos_y + cos_x[column] * sin_y) / u
                    slope = cos_x[column] * cos_y - sin_x[column] * sin_y
                    slope = (slope - line) / u
                moved = of_psf[row, column] * turn_x[column] * turn_y
                stretched = 0.5 * slope * moved
                spectra[i, 0, row, column] = line * moved
                spectra[i, 1, row, column] = -1j * kx * line * moved
                spectra[i, 2, row, column] = -1j * ky * line * moved
                spectra[i, 3, row, column] = kx * stretched
                spectra[i, 4, row, column] = ky * stretched


def _frequencies(size: int) -> NDArray[np.float64]:
    """Return radians per pixel, shape (size,)."""
    return np.asarray(2 * np.pi * scipy.fft.fftfreq(size), float)
