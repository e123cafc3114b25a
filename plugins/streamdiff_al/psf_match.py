"""The matching kernel from the PSF models alone, for what stars do not tell."""

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from streamdiff.model import MatchingKernel, Psf
from streamdiff_al.match import Match

# Relative to the largest singular value: what is smaller is noise of the models.
_SMALLEST_SINGULAR_VALUE = 1e-5
# Of the spectrum of a PSF, relative to its largest: models know no smaller ones.
_SMALLEST_AMPLITUDE = 1e-3


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
    model, wanted = _models(source, target, basis, image_shape)
    rest = model[1:].reshape(len(basis) - 1, -1).T
    solution, _, _, singular = np.linalg.lstsq(
        rest, (wanted - model[0]).ravel(), rcond=_SMALLEST_SINGULAR_VALUE
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


def expected_kernel(
    source: Psf,
    target: Psf,
    basis: NDArray[np.float64],
    image_shape: tuple[int, int],
) -> NDArray[np.float64]:
    """Return the kernel for two PSFs that are known to a part in a thousand.

    What is fainter than that in the spectrum of the source is not amplified, as it
    would have to be where the wider image is convolved. Else as `match_psfs`.

    Returns
    -------
    ndarray of float64, shape (n_basis,)
        Coefficients of the basis, the first of which is 1.
    """
    model, wanted = _models(source, target, basis, image_shape)
    model, kernels = (images.reshape(len(basis), -1) for images in (model, basis))
    matrix = model @ model.T + _SMALLEST_AMPLITUDE**2 * kernels @ kernels.T
    vector = model @ wanted.ravel() - matrix[0]
    solution = np.linalg.lstsq(matrix[1:, 1:], vector[1:], rcond=None)[0]
    return np.concatenate([[1.0], solution])


def _models(
    source: Psf,
    target: Psf,
    basis: NDArray[np.float64],
    image_shape: tuple[int, int],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return one PSF convolved with each kernel of the basis, and the other one."""
    height, width = image_shape
    centre = (width - 1) / 2, (height - 1) / 2
    side = max(*source.shape, *target.shape) + basis.shape[1] - 1
    stamp = _padded(source.centred_at(*centre), side)
    model = np.array([fftconvolve(stamp, kernel, "same") for kernel in basis])
    return model, _padded(target.centred_at(*centre), side)


def _padded(stamp: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Return a stamp in the middle of a larger one, with an odd side."""
    side |= 1
    rows, columns = ((side - n) // 2 for n in stamp.shape)
    return np.pad(stamp, ((rows, rows), (columns, columns)))
