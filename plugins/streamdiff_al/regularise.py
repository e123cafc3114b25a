"""Regularisation of kernels that have a parameter per pixel.

Becker et al. 2012, MNRAS 425, 1341: the sum of squared residuals is raised by
strength * k' H k, where H = B' B and B k are differences between the pixels of the
kernel k. So of all kernels that fit, the smoothest is found.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from math import comb
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray
from scipy import linalg

from streamdiff.errors import ConfigError
from streamdiff_al.normal_equations import NormalEquations

_LAPLACIANS: Mapping[int, NDArray[np.float64]] = {
    5: np.array([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]),
    9: np.array([[1.0, 4, 1], [4, -20, 4], [1, 4, 1]]) / 6,
}
_HIGHEST_ORDER = 3
# Keeps a matrix positive definite that rounding made singular.
_RIDGE = 1e-12


class Differences(StrEnum):
    """What of a kernel is to be small."""

    CENTRAL = "central"
    """Its Laplacian."""
    FORWARD = "forward"
    """Its derivatives along the axes."""


class Strength(StrEnum):
    """How strongly a kernel is smoothed."""

    ABSOLUTE = "absolute"
    RELATIVE = "relative"
    BIASED_RISK = "minimize-biased-risk"
    UNBIASED_RISK = "minimize-unbiased-risk"


@dataclass(frozen=True, slots=True, kw_only=True)
class Regularisation:
    """How a kernel of free pixels is kept smooth.

    Attributes
    ----------
    differences : Differences
    stencil : int
        Pixels of the Laplacian: 5 or 9.
    orders : tuple of int
        Of the forward differences: some of 1, 2 and 3.
    border_penalty : float
        Weight of the kernel's border, which is drawn to zero.
    strength : Strength
        ``absolute``: ``value``. ``relative``: ``scaling`` times the ratio of the
        traces of the normal matrix and of H (Press et al., Numerical Recipes,
        section on linear regularisation). The others: the strength out of a scan
        whose expected error of the parameters is least, ``biased`` for those
        combinations of them that the data tell.
    value, scaling : float
    scan_from, scan_to, scan_step : float
        Strengths that are tried: powers of ten, or the numbers themselves.
    log_scan : bool
    max_condition : float
        What is worse determined has no say in the biased risk.

    Raises
    ------
    ConfigError
        For a stencil, orders or a scan that do not exist.
    """

    differences: Differences = Differences.CENTRAL
    stencil: int = 9
    orders: tuple[int, ...] = (1, 2)
    border_penalty: Annotated[float, Ge(0)] = 3.0
    strength: Strength = Strength.ABSOLUTE
    value: Annotated[float, Ge(0)] = 0.2
    scaling: Annotated[float, Ge(0)] = 1e-4
    scan_from: float = -1.0
    scan_to: float = 2.0
    scan_step: Annotated[float, Gt(0)] = 0.1
    log_scan: bool = True
    max_condition: Annotated[float, Gt(1)] = 5e6

    def __post_init__(self) -> None:
        if self.stencil not in _LAPLACIANS:
            raise ConfigError(
                f"subtract.al.regularisation: stencil {self.stencil}: use 5 or 9"
            )
        if not self.orders or not set(self.orders) <= {*range(1, _HIGHEST_ORDER + 1)}:
            raise ConfigError(
                f"subtract.al.regularisation: orders {self.orders}: use some of 1, 2, 3"
            )
        if not len(self.strengths) or self.strengths[0] < 0:
            raise ConfigError(
                f"subtract.al.regularisation: no strengths from {self.scan_from} to "
                f"{self.scan_to}, or negative ones"
            )

    @property
    def strengths(self) -> NDArray[np.float64]:
        """Return the strengths of the scan."""
        n = int(np.floor((self.scan_to - self.scan_from) / self.scan_step + 1e-9)) + 1
        steps = self.scan_from + self.scan_step * np.arange(max(n, 0), dtype=float)
        return np.asarray(np.power(10.0, steps) if self.log_scan else steps, float)

    def roughness(self, basis: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return H for the coefficients of a basis; shape (n_basis, n_basis).

        Parameters
        ----------
        basis : ndarray of float64, shape (n_basis, size, size)
        """
        rough = self._differences(basis.shape[-1]) @ basis.reshape(len(basis), -1).T
        squares: NDArray[np.float64] = rough.T @ rough
        return squares

    def choose(self, equations: NormalEquations, penalty: NDArray[np.float64]) -> float:
        """Return the strength for the normal equations of one candidate.

        Parameters
        ----------
        equations : NormalEquations
        penalty : ndarray of float64, shape (p, p)
            H for its parameters.
        """
        match self.strength:
            case Strength.ABSOLUTE:
                return self.value
            case Strength.RELATIVE:
                scale = np.trace(equations.matrix) / np.trace(penalty)
                return float(self.scaling * scale)
            case _:
                return self._least_risk(equations, penalty)

    def _least_risk(
        self, equations: NormalEquations, penalty: NDArray[np.float64]
    ) -> float:
        is_biased = self.strength is Strength.BIASED_RISK
        risks = parameter_risks(
            equations,
            penalty,
            self.strengths,
            max_condition=self.max_condition if is_biased else np.inf,
        )
        return float(self.strengths[np.argmin(risks)])

    def _differences(self, size: int) -> NDArray[np.float64]:
        """Return B for a kernel of free pixels; shape (n, size * size)."""
        if self.differences is Differences.CENTRAL:
            return _central(size, _LAPLACIANS[self.stencil], self.border_penalty)
        parts = [_forward(size, order) for order in sorted(set(self.orders))]
        border = self.border_penalty * np.eye(size**2)[_is_border(size)]
        return np.concatenate([*parts, border])


def parameter_risks(
    equations: NormalEquations,
    penalty: NDArray[np.float64],
    strengths: NDArray[np.float64],
    *,
    max_condition: float,
) -> NDArray[np.float64]:
    """Return the expected squared errors of the parameters; shape (n_strengths,).

    Parameters
    ----------
    equations : NormalEquations
    penalty : ndarray of float64, shape (p, p)
    strengths : ndarray of float64, shape (n_strengths,)
    max_condition : float
        Combinations of parameters whose eigenvalues are smaller than the largest
        over this are left out.

    Notes
    -----
    With the matrix M, the vector b, R = M + strength * H and P the projection on
    the combinations that count, |P R^-1 b|^2 + 2 (tr P R^-1 - b' R^-1 P M^-1 b) is
    the squared error but for a constant and noise: Stein's unbiased estimate, for
    weights that are inverse variances.
    """
    scale = np.trace(equations.matrix) / np.trace(penalty)
    together = equations.matrix + scale * penalty
    together += _RIDGE * np.trace(together) * np.eye(len(together))
    # One decomposition serves all strengths: both matrices are diagonal in it.
    shares, axes = linalg.eigh(equations.matrix, together)
    values, vectors = np.linalg.eigh(equations.matrix)
    known = values > values[-1] / min(max_condition, 1 / _RIDGE)
    projected, seen = vectors[:, known].T @ axes, axes.T @ equations.vector
    free = (vectors[:, known].T @ equations.vector) / values[known]
    norms = np.square(projected).sum(axis=0)
    risks = []
    for strength in strengths:
        inverse = 1 / (shares + strength / scale * (1 - shares))
        found = projected @ (inverse * seen)
        risks.append(found @ found + 2 * (norms @ inverse - found @ free))
    return np.array(risks)


def _central(
    size: int, stencil: NDArray[np.float64], border_penalty: float
) -> NDArray[np.float64]:
    rows = border_penalty * np.eye(size**2)
    pixels = np.arange(size**2).reshape(size, size)
    inner = pixels[1:-1, 1:-1].ravel()
    rows[inner] = 0
    for dy, dx in product(range(3), repeat=2):
        around = pixels[dy : size - 2 + dy, dx : size - 2 + dx].ravel()
        rows[inner, around] = stencil[dy, dx]
    return rows


def _forward(size: int, order: int) -> NDArray[np.float64]:
    n = max(size - order, 0)
    line = np.zeros((n, size))
    for i in range(order + 1):
        line[np.arange(n), np.arange(n) + i] = (-1) ** (order - i) * comb(order, i)
    unit = np.eye(size)
    return np.concatenate([np.kron(line, unit), np.kron(unit, line)])


def _is_border(size: int) -> NDArray[np.bool_]:
    border = np.ones((size, size), bool)
    border[1:-1, 1:-1] = False
    return border.ravel()
