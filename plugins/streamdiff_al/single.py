"""The kernel of a single candidate."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamdiff_al.cutout import Cutout
from streamdiff_al.fit import constant_model, level
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
    """

    kernel: NDArray[np.float64]
    condition: float
    strength: float
    weight: float
    left: NDArray[np.float64]
    variance: NDArray[np.float64]

    @property
    def sum(self) -> float:
        """Return the sum of the kernel."""
        return float(self.kernel[0])


class SingleFitter:
    """Fits candidates one by one.

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
        self._regularisation = regularisation
        self._constant_weights = constant_weights
        self.roughness = (
            np.zeros_like(self.overlaps)
            if regularisation is None
            else regularisation.roughness(basis)
        )

    def fit(self, cutout: Cutout) -> Single:
        """Return the kernel of a candidate, beside a constant background."""
        n_basis = len(self.overlaps)
        model = constant_model(n_basis, cutout.usable.shape)
        variance = cutout.variance(None)
        if self._constant_weights:
            variance = level(variance, cutout.usable)
        equations = model.equations([cutout], [variance], self.overlaps)
        if self.expected is not None:
            equations = equations.expecting(model.scaled(self.expected))
        weight, strength = float(equations.matrix[0, 0]), 0.0
        if self._regularisation is not None:
            padded = np.pad(self.roughness, (0, 1))
            strength = self._regularisation.choose(equations, padded)
            equations = equations.penalised(strength * self.roughness)
        parameters, condition = equations.solve()
        kernel = parameters[:n_basis]
        power = float(kernel @ self.overlaps @ kernel)
        return Single(
            kernel=kernel,
            condition=condition,
            strength=strength,
            weight=weight,
            left=cutout.target - model.predict(parameters, cutout),
            # Smooth as it is, convolution only scales the variance.
            variance=cutout.target_variance + power * cutout.own_source_variance,
        )
