"""How much longer than the PSF a DiaSource is, by its moments."""

from dataclasses import dataclass

import numpy as np
from astropy.wcs.utils import proj_plane_pixel_area
from numpy.typing import NDArray

from streamdiff.model import DiaSources, Difference, MaskPlane
from streamdiff_measurement.source_moments import psf_moments, source_moments

# 95 % of a normal distribution are below so many standard deviations.
ONE_SIDED_95 = 1.645
_SHAPE = ("ixx", "iyy", "ixy")
_SHAPE_OF_PSF = ("ixxPSF", "iyyPSF", "ixyPSF")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Elongation:
    """Lines as long as DiaSources; n of each.

    The second moment of a line along itself is a twelfth of its length squared.

    Attributes
    ----------
    axis : ndarray of float64, shape (n, 2)
        Unit vector along the line.
    length : ndarray of float64, shape (n,)
        [pixel]; NaN where moments could not be measured.
    longest : ndarray of float64, shape (n,)
        Upper limit of the length of 95 % confidence [pixel].
    snr : ndarray of float64, shape (n,)
        Significance of the square of the length.
    """

    axis: NDArray[np.float64]
    length: NDArray[np.float64]
    longest: NDArray[np.float64]
    snr: NDArray[np.float64]


def elongations(
    difference: Difference, sources: DiaSources, *, exclude: MaskPlane
) -> Elongation:
    """Return the lines; pixels on any of the excluded planes take no part.

    Moments that an earlier measurer has measured are used as they are.
    """
    found = _measured(difference, sources)
    if found is None:
        found = _measure(difference, sources, exclude)
    of_source, of_psf, snr = found
    known = snr > 0
    excess, axes = np.linalg.eigh(np.nan_to_num(of_source - of_psf))
    excess, axis = excess[:, 1], axes[:, :, 1]
    along = np.einsum("ni,nij,nj->n", axis, of_source, axis)
    # As `moment_errors` has it, along the line.
    error = np.sqrt(8) * along / np.where(known, snr, np.nan)
    excess = np.where(known, np.maximum(excess, 0), np.nan)
    return Elongation(
        axis=axis,
        length=np.sqrt(12 * excess),
        longest=np.sqrt(12 * (excess + ONE_SIDED_95 * error)),
        snr=np.nan_to_num(excess / error),
    )


# Matrices of sources and of the PSF, and signal-to-noise ratios.
_Shapes = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def _measure(
    difference: Difference, sources: DiaSources, exclude: MaskPlane
) -> _Shapes:
    x, y, negative = sources["x"], sources["y"], sources["isNegative"]
    found = source_moments(difference, x, y, negative=negative, exclude=exclude)
    of_psf = _matrices(*psf_moments(difference, x, y))
    return _matrices(found.xx, found.yy, found.xy), of_psf, found.snr


def _measured(difference: Difference, sources: DiaSources) -> _Shapes | None:
    """Return what the columns of `SourceMoments` say; nothing if there are none."""
    if not all(name in sources for name in (*_SHAPE, *_SHAPE_OF_PSF, "ixxErr")):
        return None
    area = proj_plane_pixel_area(difference.wcs) * 3600**2
    of_source, of_psf = (
        _matrices(*(np.asarray(sources[name], float) / area for name in names))
        for names in (_SHAPE, _SHAPE_OF_PSF)
    )
    # As `moment_errors` has it.
    snr = np.sqrt(8) * area * of_source[:, 0, 0] / sources["ixxErr"]
    return of_source, of_psf, np.nan_to_num(snr)


def _matrices(
    xx: NDArray[np.float64], yy: NDArray[np.float64], xy: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return symmetric matrices, shape (n, 2, 2)."""
    return np.stack([np.stack([xx, xy], axis=1), np.stack([xy, yy], axis=1)], axis=1)
