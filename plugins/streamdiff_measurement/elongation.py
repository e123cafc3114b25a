"""How much longer than the PSF a DiaSource is, by its moments."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamdiff.model import DiaSources, Difference, MaskPlane
from streamdiff_measurement.source_moments import psf_moments, source_moments

# 95 % of a normal distribution are below so many standard deviations.
ONE_SIDED_95 = 1.645


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Elongation:
    """Lines as long as DiaSources; n of each.

    The second moment of a line along itself is a twelfth of its length squared.

    Attributes
    ----------
    middle : ndarray of float64, shape (n, 2)
        Centroid on the image [pixel].
    axis : ndarray of float64, shape (n, 2)
        Unit vector along the line.
    length : ndarray of float64, shape (n,)
        [pixel]; NaN where moments could not be measured.
    longest : ndarray of float64, shape (n,)
        Upper limit of the length of 95 % confidence [pixel].
    snr : ndarray of float64, shape (n,)
        Significance of the square of the length.
    """

    middle: NDArray[np.float64]
    axis: NDArray[np.float64]
    length: NDArray[np.float64]
    longest: NDArray[np.float64]
    snr: NDArray[np.float64]


def elongations(
    difference: Difference, sources: DiaSources, *, exclude: MaskPlane
) -> Elongation:
    """Return the lines; pixels on any of the excluded planes take no part."""
    x, y = sources["x"], sources["y"]
    found = source_moments(
        difference, x, y, negative=sources["isNegative"], exclude=exclude
    )
    known = found.snr > 0
    of_source = _matrices(found.xx, found.yy, found.xy)
    of_psf = _matrices(*psf_moments(difference, x, y))
    excess, axes = np.linalg.eigh(of_source - of_psf)
    excess, axis = excess[:, 1], axes[:, :, 1]
    along = np.einsum("ni,nij,nj->n", axis, of_source, axis)
    # As `moment_errors` has it, along the line.
    error = np.sqrt(8) * along / np.where(known, found.snr, np.nan)
    excess = np.where(known, np.maximum(excess, 0), np.nan)
    return Elongation(
        middle=np.stack([found.x, found.y], axis=1),
        axis=axis,
        length=np.sqrt(12 * excess),
        longest=np.sqrt(12 * (excess + ONE_SIDED_95 * error)),
        snr=np.nan_to_num(excess / error),
    )


def _matrices(
    xx: NDArray[np.float64], yy: NDArray[np.float64], xy: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return symmetric matrices, shape (n, 2, 2)."""
    return np.stack([np.stack([xx, xy], axis=1), np.stack([xy, yy], axis=1)], axis=1)
