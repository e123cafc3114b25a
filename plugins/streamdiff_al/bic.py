"""How many basis kernels the candidates justify (Schwarz 1978, Ann. Stat. 6, 461)."""

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from streamdiff_al.cutout import Cutout
from streamdiff_al.fit import constant_model

_SMALLEST_EIGENVALUE = 1e-10


def choose_degrees(
    cutouts: Sequence[Cutout], degrees: tuple[int, ...]
) -> tuple[int, ...]:
    """Return the degrees whose Bayesian information criterion is least.

    Parameters
    ----------
    cutouts : sequence of Cutout
        Candidates, at least one, convolved with the basis of ``degrees``.
    degrees : tuple of int
        The full basis. Each degree may be lowered, and each Gaussian but the first
        be left out: its degree is then -1.

    Notes
    -----
    The criterion is chi^2 + k ln n, for k parameters and n pixels of all candidates,
    which one kernel and one background are fitted to.
    """
    n_basis = len(cutouts[0].convolved)
    model = constant_model(n_basis, cutouts[0].usable.shape)
    equations = model.equations(
        cutouts,
        [cutout.variance(None) for cutout in cutouts],
        np.zeros((n_basis, n_basis)),
    )

    def criterion(lowered: tuple[int, ...]) -> float:
        kept = np.array([*kept_rows(degrees, lowered), n_basis])
        matrix = equations.matrix[np.ix_(kept, kept)]
        gain = _explained(matrix, equations.vector[kept])
        return float(len(kept) * np.log(equations.n_pixels) - gain)

    others = (range(-1, degree + 1) for degree in degrees[1:])
    return min(product(range(degrees[0] + 1), *others), key=criterion)


def kept_rows(degrees: tuple[int, ...], lowered: tuple[int, ...]) -> list[int]:
    """Return which kernels of the basis of some degrees are in that of lower ones.

    The kernels of a Gaussian are ordered by degree, and no kernel depends on another
    but the first: so those of the lower degrees are among the others unchanged.
    """
    rows, start = list[int](), 0
    for degree, low in zip(degrees, lowered, strict=True):
        rows += range(start, start + _n_terms(low))
        start += _n_terms(degree)
    return rows


def _n_terms(degree: int) -> int:
    return (degree + 1) * (degree + 2) // 2


def _explained(matrix: NDArray[np.float64], vector: NDArray[np.float64]) -> float:
    """Return by how much the fit lowers chi^2."""
    norms = np.sqrt(np.diag(matrix))
    scale = np.divide(1, norms, out=np.zeros_like(norms), where=norms > 0)
    values, vectors = np.linalg.eigh(matrix * np.outer(scale, scale))
    known = values > _SMALLEST_EIGENVALUE * values[-1]
    projected = vectors[:, known].T @ (scale * vector)
    return float((np.square(projected) / values[known]).sum())
