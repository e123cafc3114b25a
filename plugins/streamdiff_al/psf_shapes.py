"""Second moments of PSFs, and which of two PSFs contains the other."""

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.moments import adaptive_moments
from streamdiff.model import Psf
from streamdiff.model.psf import FWHM_PER_SIGMA, fwhm

# PSFs are compared on so many positions along each axis.
_NODES = 3


def mean_fwhm(psf: Psf, shape: tuple[int, int]) -> float:
    """Return the mean width of a PSF over an image of a shape (ny, nx) [pixel]."""
    return float(np.mean([fwhm(stamp) for stamp in _stamps(psf, shape)]))


def second_moments(psf: Psf, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Return the covariances of the Gaussians that fit a PSF best over an image.

    Parameters
    ----------
    psf : Psf
    shape : tuple of int
        (ny, nx) of the image.

    Returns
    -------
    ndarray of float64, shape (n, 2, 2)
        In x and y [pixel**2], at positions all over the image.
    """
    stamps = _stamps(psf, shape)
    # Side by side they are the sources of one image.
    tiles = np.pad(stamps, ((0, 0), (1, 1), (1, 1)))
    n, height, width = tiles.shape
    image = np.asarray(np.concatenate(list(tiles), axis=1), np.float32)
    moments = adaptive_moments(
        image,
        np.ones_like(image),
        np.zeros(image.shape, bool),
        x=np.arange(n) * width + (width - 1) / 2,
        y=np.full(n, (height - 1) / 2),
        sigma=fwhm(stamps[0]) / FWHM_PER_SIGMA,
        radius=min(height, width) // 2,
    )
    rows = [[moments.xx, moments.xy], [moments.xy, moments.yy]]
    return np.moveaxis(np.array(rows), -1, 0)


def contains(
    wide: NDArray[np.float64], narrow: NDArray[np.float64], margin: float
) -> bool:
    """Return whether a PSF is everywhere wider than another, along every axis.

    Parameters
    ----------
    wide, narrow : ndarray of float64, shape (n, 2, 2)
        Second moments [pixel**2].
    margin : float
        Least width of the Gaussian between them [pixel].
    """
    return bool(np.linalg.eigvalsh(wide - narrow).min() >= margin**2)


def smallest_excess(
    narrow: NDArray[np.float64], wide: NDArray[np.float64], margin: float
) -> NDArray[np.float64]:
    """Return the moments of a Gaussian that makes a PSF contain another.

    Parameters
    ----------
    narrow, wide : ndarray of float64, shape (n, 2, 2)
        Second moments of the PSF that is to be convolved, and of the other one.
    margin : float
        Least width of the Gaussian between them afterwards [pixel].

    Returns
    -------
    ndarray of float64, shape (2, 2)
        Zero if ``narrow`` contains ``wide`` as it is.
    """
    excess = np.zeros((2, 2))
    for missing in wide - narrow + margin**2 * np.eye(2):
        excess += _positive_part(missing - excess)
    return excess


def _positive_part(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    values, axes = np.linalg.eigh(matrix)
    part: NDArray[np.float64] = (axes * np.maximum(values, 0)) @ axes.T
    return part


def _stamps(psf: Psf, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Return the PSF at positions all over an image; shape (n, ky, kx)."""
    y, x = ((np.arange(_NODES) + 0.5) / _NODES * n - 0.5 for n in shape)
    return np.array([psf.centred_at(u, v) for v in y for u in x])
