"""Which kernel candidates the fit is better without."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import ArrayLike, NDArray

_SIGMA_PER_IQR = 0.7413
_CLIP_PASSES = 3
# Sums that are equal but for rounding have no scatter to be clipped by.
_RELATIVE_SCATTER = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectionRules:
    """How bad a candidate may be.

    Attributes
    ----------
    residual_mean, residual_rms : float
        Largest mean, and root mean square, of residual over sigma, in the
        candidate's square; both are raised to ``of_median`` times the median
        of the candidates. They hold for a candidate's own kernel, and for that of
        all.
    of_median : float
    core_radius : int, optional
        Residuals are judged in the middle of the square alone, up to so many columns
        and rows from the candidate.
    kernel_sum_clip : float
        Largest distance of a candidate's own kernel sum from the mean [sigma].
    condition : float
        Largest condition number of a candidate's own fit.
    passes : int
        Largest number of fits after which candidates are rejected.

    Notes
    -----
    LSST rejects by absolute limits alone. On real images the PSF of a bright star
    is never matched to its photon noise, and absolute limits would reject every
    bright star: so the limits grow with what is usual in the image.
    """

    residual_mean: float = 0.25
    residual_rms: float = 1.5
    of_median: float = 2.0
    core_radius: int | None = None
    kernel_sum_clip: float = 3.0
    condition: float = inf
    passes: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Residual:
    """How a candidate is matched, in sigma per pixel.

    Attributes
    ----------
    mean, rms : float
        Of the residual over its standard deviation, NaN for no pixels.
    """

    mean: float = np.nan
    rms: float = np.nan

    @classmethod
    def of(
        cls,
        residual: NDArray[np.float64],
        variance: NDArray[np.float64],
        usable: NDArray[np.bool_],
        *,
        core_radius: int | None = None,
    ) -> "Residual":
        """Return the statistics of the usable pixels.

        Parameters
        ----------
        residual, variance : ndarray of float64, shape (m, m)
        usable : ndarray of bool, shape (m, m)
        core_radius : int, optional
            Pixels more columns or rows than this from the middle do not count.
        """
        if core_radius is not None:
            usable = usable & _core(usable.shape, core_radius)
        if not usable.any():
            return cls()
        pulls = residual[usable] / np.sqrt(variance[usable])
        return cls(
            mean=float(pulls.mean()), rms=float(np.sqrt(np.square(pulls).mean()))
        )


def keep_matched(
    residuals: Sequence[Residual], rules: RejectionRules
) -> NDArray[np.bool_]:
    """Return True for candidates whose residuals are small or usual; shape (n,)."""
    mean = np.abs([r.mean for r in residuals])
    rms = np.array([r.rms for r in residuals])
    kept: NDArray[np.bool_] = mean <= _limit(mean, rules.residual_mean, rules)
    return kept & (rms <= _limit(rms, rules.residual_rms, rules))


def keep_usual_sums(sums: ArrayLike, clip: float) -> NDArray[np.bool_]:
    """Return True for kernel sums within ``clip`` sigma of their clipped mean.

    Parameters
    ----------
    sums : array_like of float, shape (n,)
    clip : float
        In units of the clipped standard deviation; the first pass uses median and
        interquartile range, so that one wild value can not hide itself. Infinite:
        nothing is clipped that is finite.
    """
    values = np.asarray(sums, float)
    kept: NDArray[np.bool_] = np.isfinite(values)
    if not kept.any() or np.isinf(clip):
        return kept
    low, centre, high = np.percentile(values[kept], [25, 50, 75])
    scatter = _SIGMA_PER_IQR * (high - low)
    for _ in range(_CLIP_PASSES):
        limit = max(clip * scatter, _RELATIVE_SCATTER * abs(centre))
        # A value that is not finite fails the comparison.
        kept = np.abs(values - centre) <= limit
        centre, scatter = values[kept].mean(), values[kept].std()
    return kept


def _core(shape: tuple[int, ...], radius: int) -> NDArray[np.bool_]:
    rows, columns = (np.abs(np.arange(n) - n // 2) <= radius for n in shape)
    return np.logical_and.outer(rows, columns)


def _limit(values: NDArray[np.float64], least: float, rules: RejectionRules) -> float:
    finite = values[np.isfinite(values)]
    usual = float(np.median(finite)) if finite.size else 0.0
    return max(least, rules.of_median * usual)
