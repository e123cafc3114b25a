"""The kernel of a single candidate."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamdiff_al.cutout import Cutout
from streamdiff_al.fit import constant_model
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
    """

    kernel: NDArray[np.float64]
    condition: float
    strength: float
    weight: float

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

    Attributes
    ----------
    overlaps : ndarray of float64, shape (n_basis, n_basis)
        Sums of products of basis kernels.
    roughness : ndarray of float64, shape (n_basis, n_basis)
        H of the regularisation; 0 without one.
    """

    def __init__(
        self, basis: NDArray[np.float64], regularisation: Regularisation | None
    ) -> None:
        self.overlaps = np.tensordot(basis, basis, axes=((1, 2), (1, 2)))
        self._regularisation = regularisation
        self.roughness = (
            np.zeros_like(self.overlaps)
            if regularisation is None
            else regularisation.roughness(basis)
        )

    def fit(self, cutout: Cutout) -> Single:
        """Return the kernel of a candidate, beside a constant background."""
        n_basis = len(self.overlaps)
        model = constant_model(n_basis, cutout.usable.shape)
        equations = model.equations([cutout], [cutout.variance(None)], self.overlaps)
        weight, strength = float(equations.matrix[0, 0]), 0.0
        if self._regularisation is not None:
            padded = np.pad(self.roughness, (0, 1))
            strength = self._regularisation.choose(equations, padded)
            equations = equations.penalised(strength * self.roughness)
        parameters, condition = equations.solve()
        return Single(
            kernel=parameters[:n_basis],
            condition=condition,
            strength=strength,
            weight=weight,
        )
