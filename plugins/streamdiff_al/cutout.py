"""The pixels around a kernel candidate, convolved with every basis kernel."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import signal

# A candidate may miss some wing, never its core.
_MIN_USABLE = 0.6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cutout:
    """What the fit needs to know of one candidate; m is the odd side of its square.

    Candidates may be stacked: every array has one more axis then, the first.

    Attributes
    ----------
    terms : ndarray of float64, shape (n_terms, m, m)
        Terms of `streamdiff.model.field.field_terms` on the pixels.
    target : ndarray of float64, shape (m, m)
        Image to be matched.
    convolved : ndarray of float64, shape (n_basis, m, m)
        Image to be convolved, with each basis kernel.
    target_variance : ndarray of float64, shape (m, m)
        Variance of ``target``, smoothed.
    source_variance : ndarray of float64, shape (m + size - 1, m + size - 1)
        Variance of the image to be convolved, with a margin for its kernel.
    usable : ndarray of bool, shape (m, m)
    """

    terms: NDArray[np.float64]
    target: NDArray[np.float64]
    convolved: NDArray[np.float64]
    target_variance: NDArray[np.float64]
    source_variance: NDArray[np.float64]
    usable: NDArray[np.bool_]

    @property
    def side(self) -> int:
        """Return the side m of the square."""
        return int(self.usable.shape[-1])

    @property
    def is_complete(self) -> NDArray[np.bool_]:
        """Return whether the core, and enough of the wings, can be used; shape ()."""
        core = slice(self.side // 2 - 2, self.side // 2 + 3)
        enough = self.usable.mean(axis=(-2, -1)) >= _MIN_USABLE
        complete: NDArray[np.bool_] = (
            self.usable[..., core, core].all(axis=(-2, -1)) & enough
        )
        return complete

    def take(self, rows: ArrayLike) -> "Cutout":
        """Return a copy of the candidates of a stack that an index names."""
        rows = np.asarray(rows)
        return Cutout(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def mixed(self, mixes: NDArray[np.float64]) -> "Cutout":
        """Return the cutout for combinations of the basis kernels.

        Parameters
        ----------
        mixes : ndarray of float64, shape (n, n_basis)
        """
        return replace(self, convolved=np.tensordot(mixes, self.convolved, 1))

    @property
    def centre_terms(self) -> NDArray[np.float64]:
        """Return the terms at the candidate; shape (n_terms,)."""
        middle = self.side // 2
        return self.terms[..., middle, middle]

    def variance(self, kernel: NDArray[np.float64] | None) -> NDArray[np.float64]:
        """Return the variance of target - convolved; shape (m, m).

        Without a kernel, the variance of the image to be convolved is taken as
        it is.
        """
        if kernel is None:
            return self.target_variance + self.own_source_variance
        return self.target_variance + _spread(self.source_variance, kernel)

    @property
    def own_source_variance(self) -> NDArray[np.float64]:
        """Return ``source_variance`` without its margin; shape (m, m)."""
        margin = (self.source_variance.shape[-1] - self.side) // 2
        return self.source_variance[..., margin:-margin, margin:-margin]


def difference_variances(
    cutouts: Sequence[Cutout], kernels: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Return what `Cutout.variance` does, for many candidates; shape (n, m, m).

    Parameters
    ----------
    cutouts : sequence of Cutout
    kernels : ndarray of float64, shape (n, size, size), optional
        That at each of them.
    """
    if kernels is None:
        return np.array([cutout.variance(None) for cutout in cutouts])
    sources = np.array([cutout.source_variance for cutout in cutouts])
    targets = np.array([cutout.target_variance for cutout in cutouts])
    return targets + _spread(sources, kernels)


def _spread(
    variance: NDArray[np.float64], kernel: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the variance of images after a convolution."""
    spread: NDArray[np.float64] = signal.fftconvolve(
        variance, np.square(kernel), mode="valid", axes=(-2, -1)
    )
    return spread
