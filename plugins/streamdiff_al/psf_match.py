"""The matching kernel from the PSF models alone, for images without good stars."""

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from streamdiff.model import MatchingKernel, Psf
from streamdiff_al.match import Match

# Relative to the largest singular value: what is smaller is noise of the models.
_SMALLEST_SINGULAR_VALUE = 1e-5


def match_psfs(
    source: Psf,
    target: Psf,
    basis: NDArray[np.float64],
    image_shape: tuple[int, int],
) -> Match:
    """Return the kernel that brings one PSF to the other at the image's centre.

    Both PSFs sum to 1, and so does the kernel: it suits exposures on one flux
    scale.

    Parameters
    ----------
    source, target : Psf
        Of the image to be convolved, and of the other.
    basis : ndarray of float64, shape (n_basis, ky, kx)
        The first sums to 1, all others to 0.
    image_shape : tuple of int
    """
    height, width = image_shape
    centre = (width - 1) / 2, (height - 1) / 2
    side = max(*source.shape, *target.shape) + basis.shape[1] - 1
    model = np.array(
        [
            fftconvolve(_padded(source.centred_at(*centre), side), b, "same")
            for b in basis
        ]
    )
    wanted = _padded(target.centred_at(*centre), side) - model[0]
    rest = model[1:].reshape(len(basis) - 1, -1).T
    solution, _, _, singular = np.linalg.lstsq(
        rest, wanted.ravel(), rcond=_SMALLEST_SINGULAR_VALUE
    )
    coefficients = np.concatenate([[1.0], solution])
    return Match(
        kernel=MatchingKernel(
            basis=basis,
            coefficients=coefficients[:, np.newaxis],
            image_shape=image_shape,
        ),
        background=np.zeros(1),
        condition=float((singular[0] / singular[-1]) ** 2) if singular.size else 1.0,
        residuals=(),
        n_rejected=0,
    )


def _padded(stamp: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Return a stamp in the middle of a larger one, with an odd side."""
    side |= 1
    rows, columns = ((side - n) // 2 for n in stamp.shape)
    return np.pad(stamp, ((rows, rows), (columns, columns)))
