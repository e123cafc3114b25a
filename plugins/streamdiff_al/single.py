"""The kernels of single candidates."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamdiff_al.cutout import Cutout
from streamdiff_al.fit import FEW_ROWS, Sums, constant_model, level
from streamdiff_al.normal_equations import NormalEquations
from streamdiff_al.regularise import Regularisation


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Single:
    """The fit to a single candidate.

    Attributes
    ----------
    kernel : ndarray of float64, shape (n_basis,)
        Coefficients of the basis.
    condition : float
        Condition number.
    strength : float
        Of the regularisation.
    weight : float
        How well the kernel is known: an inverse variance but for a factor.
    left, variance : ndarray of float64, shape (m, m)
        What is left of the target, and its variance.
    sums : Sums or None
        What it was found from, where that is little.
    """

    kernel: NDArray[np.float64]
    condition: float
    strength: float
    weight: float
    left: NDArray[np.float64]
    variance: NDArray[np.float64]
    sums: Sums | None = None

    @property
    def sum(self) -> float:
        """Return the sum of the kernel."""
        return float(self.kernel[0])


class SingleFitter:
    """Fits candidates each on its own.

    Parameters
    ----------
    basis : ndarray of float64, shape (n_basis, size, size)
        The first sums to 1, all others to 0.
    regularisation : Regularisation, optional
    expected : ndarray of float64, shape (n_basis,), optional
        Coefficients of the kernel that is expected, but for a factor.
    constant_weights : bool
        Whether all pixels of a candidate have the same weight.

    Attributes
    ----------
    overlaps : ndarray of float64, shape (n_basis, n_basis)
        Sums of products of basis kernels.
    roughness : ndarray of float64, shape (n_basis, n_basis)
        H of the regularisation; 0 without one.
    expected : ndarray of float64, shape (n_basis,), or None
    """

    def __init__(
        self,
        basis: NDArray[np.float64],
        regularisation: Regularisation | None,
        *,
        expected: NDArray[np.float64] | None = None,
        constant_weights: bool = False,
    ) -> None:
        self.overlaps = np.tensordot(basis, basis, axes=((1, 2), (1, 2)))
        self.expected = expected
        self._model = constant_model(len(basis), basis.shape[1:])
        self._scaled = None if expected is None else self._model.scaled(expected)
        self._regularisation = regularisation
        self._constant_weights = constant_weights
        self.roughness = (
            np.zeros_like(self.overlaps)
            if regularisation is None
            else regularisation.roughness(basis)
        )

    def fit(self, cutouts: Cutout) -> list[Single]:
        """Return the kernels of a stack of candidates, beside constant backgrounds."""
        variance = cutouts.variance(None)
        if self._constant_weights:
            variance = level(variance, cutouts.usable)
        sums = self._model.sums(cutouts, variance)
        equations = self._model.each(sums, self.overlaps).expecting(self._scaled)
        strengths = self._strengths(equations)
        if self._regularisation is not None:
            penalties = strengths[:, np.newaxis, np.newaxis] * self.roughness
            equations = equations.penalised(penalties)
        parameters, conditions = equations.solve()
        kernels = parameters[:, : len(self.overlaps)]
        powers = np.einsum("ni,ij,nj->n", kernels, self.overlaps, kernels)
        # Smooth as it is, convolution only scales the variance.
        convolved = powers[:, np.newaxis, np.newaxis] * cutouts.own_source_variance
        left = cutouts.target - self._model.predict(parameters, cutouts)
        return [
            Single(
                kernel=kernels[i],
                condition=float(conditions[i]),
                strength=float(strengths[i]),
                weight=float(sums.matrix[i, 0, 0]),
                left=left[i],
                variance=cutouts.target_variance[i] + convolved[i],
                sums=sums.take(i) if sums.matrix.shape[-1] <= FEW_ROWS else None,
            )
            for i in range(len(kernels))
        ]

    def _strengths(self, equations: NormalEquations) -> NDArray[np.float64]:
        """Return the strengths of the regularisation; shape (n,)."""
        n, regularisation = len(equations.matrix), self._regularisation
        if regularisation is None:
            return np.zeros(n)
        penalty = np.pad(self.roughness, (0, 1))
        return np.array(
            [regularisation.choose(equations.take(i), penalty) for i in range(n)]
        )
