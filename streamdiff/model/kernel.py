"""The kernel that matches the PSF of one image to that of another."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamdiff.model.field import field_order, field_terms
from streamdiff.model.planes import read_only


@dataclass(frozen=True, eq=False, kw_only=True)
class MatchingKernel:
    """A linear combination of basis kernels whose weights vary over the image.

    Attributes
    ----------
    basis : ndarray of float64, shape (n_basis, ky, kx)
        Basis kernels with odd sides.
    coefficients : ndarray of float64, shape (n_basis, n_terms)
        Weights of the basis kernels: coefficients of the terms of
        `streamdiff.model.field.field_terms`.
    image_shape : tuple of int
        (height, width) of the images.
    covariance : ndarray of float64, shape (n, n), or None
        Of the n = n_basis * n_terms coefficients, those of one basis kernel after
        those of the other; `None` where it is not known.

    Raises
    ------
    ValueError
        If shapes do not fit, or a side is even.
    """

    basis: NDArray[np.float64]
    coefficients: NDArray[np.float64]
    image_shape: tuple[int, int]
    covariance: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        basis = np.asarray(self.basis, float)
        coefficients = np.asarray(self.coefficients, float)
        if basis.ndim != 3 or not all(side % 2 for side in basis.shape[1:]):
            raise ValueError(f"basis kernels must have odd sides, got {basis.shape}")
        if coefficients.ndim != 2 or len(coefficients) != len(basis):
            raise ValueError(
                f"{len(basis)} basis kernels, coefficients {coefficients.shape}"
            )
        field_order(coefficients.shape[1])
        object.__setattr__(self, "basis", read_only(basis))
        object.__setattr__(self, "coefficients", read_only(coefficients))
        if self.covariance is not None:
            covariance = np.asarray(self.covariance, float)
            if covariance.shape != (coefficients.size,) * 2:
                raise ValueError(
                    f"{coefficients.size} coefficients, covariance {covariance.shape}"
                )
            object.__setattr__(self, "covariance", read_only(covariance))

    @property
    def shape(self) -> tuple[int, int]:
        """Return the odd sides (ky, kx)."""
        ky, kx = self.basis.shape[1:]
        return ky, kx

    @property
    def order(self) -> int:
        """Return the order of the spatial variation."""
        return field_order(self.coefficients.shape[1])

    def weights(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
        """Return the weights of the basis at positions; shape (n_basis, *x.shape)."""
        terms = field_terms(x, y, self.order, self.image_shape)
        weights: NDArray[np.float64] = np.tensordot(self.coefficients, terms, 1)
        return weights

    def at(self, x: float, y: float) -> NDArray[np.float64]:
        """Return the kernel at a position [pixel]; shape (ky, kx)."""
        kernel: NDArray[np.float64] = np.tensordot(self.weights(x, y), self.basis, 1)
        return kernel

    def sum_at(self, x: float, y: float) -> float:
        """Return the flux scale at a position: the sum of the kernel."""
        return float(self.weights(x, y) @ self.basis.sum(axis=(1, 2)))

    def variance_at(self, x: float, y: float) -> NDArray[np.float64]:
        """Return the variance of each pixel of the kernel; shape (ky, kx).

        Raises
        ------
        ValueError
            If the kernel has no covariance.
        """
        basis = self.basis.reshape(len(self.basis), -1)
        spread = (self._weight_covariance(x, y) @ basis * basis).sum(axis=0)
        return np.asarray(np.clip(spread, 0, None), float).reshape(self.shape)

    def sum_variance_at(self, x: float, y: float) -> float:
        """Return the variance of the sum of the kernel at a position.

        Raises
        ------
        ValueError
            If the kernel has no covariance.
        """
        sums = self.basis.sum(axis=(1, 2))
        return max(float(sums @ self._weight_covariance(x, y) @ sums), 0.0)

    def _weight_covariance(self, x: float, y: float) -> NDArray[np.float64]:
        """Return the covariance of the weights of the basis; (n_basis, n_basis)."""
        if self.covariance is None:
            raise ValueError("the covariance of this matching kernel is not known")
        n_basis, n_terms = self.coefficients.shape
        terms = field_terms(x, y, self.order, self.image_shape)
        blocks = self.covariance.reshape(n_basis, n_terms, n_basis, n_terms)
        covariance: NDArray[np.float64] = np.einsum(
            "itju,t,u->ij", blocks, terms, terms, optimize=True
        )
        return covariance

    @property
    def centre_sum(self) -> float:
        """Return the flux scale at the centre of the image."""
        height, width = self.image_shape
        return self.sum_at((width - 1) / 2, (height - 1) / 2)
