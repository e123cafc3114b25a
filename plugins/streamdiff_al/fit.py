"""Least squares for the matching kernel and the background, jointly over an image.

Alard & Lupton 1998, ApJ 503, 325; varying over the image as in Alard 2000, A&AS
144, 363, with Chebyshev polynomials.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from streamdiff.model import MatchingKernel
from streamdiff.model.field import n_field_terms
from streamdiff_al.cutout import Cutout

# Combinations of parameters that the data know so much worse than the best known
# one are left at zero: rounding would decide about them.
_SMALLEST_EIGENVALUE = 1e-10


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NormalEquations:
    """The sums over pixels that least squares needs: matrix @ parameters = vector.

    Attributes
    ----------
    matrix : ndarray of float64, shape (p, p)
    noise : ndarray of float64, shape (p, p)
        What the noise of the image to be convolved adds to ``matrix``, expected.
    vector : ndarray of float64, shape (p,)
    n_pixels : int
    """

    matrix: NDArray[np.float64]
    noise: NDArray[np.float64]
    vector: NDArray[np.float64]
    n_pixels: int

    def penalised(self, penalty: NDArray[np.float64]) -> "NormalEquations":
        """Return the equations whose solution makes parameters' penalty small, too.

        Parameters
        ----------
        penalty : ndarray of float64, shape (q, q)
            For the first q <= p parameters: a' penalty a is added to the sum of
            squared residuals.
        """
        missing = len(self.matrix) - len(penalty)
        return replace(self, matrix=self.matrix + np.pad(penalty, (0, missing)))

    def solve(self) -> tuple[NDArray[np.float64], float]:
        """Return the parameters, and the condition number of the scaled matrix.

        Notes
        -----
        The image to be convolved is noisy, too. Ordinary least squares takes its
        noise for detail that the target lacks, and finds a kernel that smooths it
        away, and the stars with it (Fuller 1987, Measurement Error Models). So
        each combination of parameters is divided by the part s of its power that
        is signal. That part is known to 2 sqrt(p / n) (Marchenko & Pastur 1967,
        for p parameters and n pixels); s / (s^2 + that^2) in place of 1 / s drops
        combinations that hold none.
        """
        norms = np.sqrt(np.diag(self.matrix))
        scale = np.divide(1, norms, out=np.zeros_like(norms), where=norms > 0)
        values, vectors = np.linalg.eigh(self.matrix * np.outer(scale, scale))
        known = values > max(_SMALLEST_EIGENVALUE * values[-1], 0)
        whiten = scale[:, np.newaxis] * vectors[:, known] / np.sqrt(values[known])
        noise, axes = np.linalg.eigh(whiten.T @ self.noise @ whiten)
        noise = np.clip(noise, 0, 1)
        signal = 1 - noise
        blur = 4 * len(self.vector) / max(self.n_pixels, 1)
        gain = signal / (np.square(signal) + blur * noise)
        projected = axes.T @ (whiten.T @ self.vector)
        condition = values[-1] / max(values[0], np.finfo(float).eps * values[-1])
        return whiten @ (axes @ (gain * projected)), float(condition)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpatialModel:
    """What is fitted: a kernel and a background that vary over an image.

    Attributes
    ----------
    n_basis, kernel_order, background_order : int
    image_shape : tuple of int
        (height, width).
    constant_sum : bool
        Whether the coefficient of the first basis kernel, the sum of the kernel,
        is the same everywhere.

    Notes
    -----
    The parameters are those of the first basis kernel, one if it is constant; those
    of the terms of each other basis kernel; those of the background.

    Chebyshev and ordinary polynomials of an order span the same functions, so that
    either finds the same kernel; the first are orthogonal, and what they find is
    less spoilt by rounding. So there is no choice of polynomials.
    """

    n_basis: int
    kernel_order: int
    background_order: int
    image_shape: tuple[int, int]
    constant_sum: bool = True

    def equations(
        self,
        cutouts: Sequence[Cutout],
        variances: Sequence[NDArray[np.float64]],
        overlaps: NDArray[np.float64],
    ) -> NormalEquations:
        """Return the normal equations of candidates.

        Parameters
        ----------
        cutouts : sequence of Cutout
        variances : sequence of ndarray of float64, shape (m, m)
            Of target - convolved.
        overlaps : ndarray of float64, shape (n_basis, n_basis)
            Sums of products of basis kernels.
        """
        matrix = np.zeros((self._n_parameters, self._n_parameters))
        vector = np.zeros(self._n_parameters)
        power = np.zeros((self._n_terms, self._n_terms))
        for cutout, variance in zip(cutouts, variances, strict=True):
            design = self._design(cutout)
            weight = np.where(cutout.usable, 1 / variance, 0)
            weighted = design * weight.ravel()
            matrix += weighted @ design.T
            vector += weighted @ cutout.target.ravel()
            terms = cutout.terms[: self._n_terms].reshape(self._n_terms, -1)
            power += (terms * (weight * cutout.own_source_variance).ravel()) @ terms.T
        return NormalEquations(
            matrix=matrix,
            noise=np.pad(self.expand(overlaps, power), (0, self._n_background)),
            vector=vector,
            n_pixels=sum(int(cutout.usable.sum()) for cutout in cutouts),
        )

    def predict(
        self, parameters: NDArray[np.float64], cutout: Cutout
    ) -> NDArray[np.float64]:
        """Return the fit to the target of a candidate; shape (m, m)."""
        coefficients = self._coefficients(parameters)
        weights = np.tensordot(coefficients, cutout.terms[: self._n_terms], 1)
        background = self.background(parameters)
        image: NDArray[np.float64] = np.einsum("bij,bij->ij", weights, cutout.convolved)
        return image + np.tensordot(background, cutout.terms[: len(background)], 1)

    def _design(self, cutout: Cutout) -> NDArray[np.float64]:
        """Return what a unit of each parameter adds to each pixel; (p, m * m)."""
        terms = cutout.terms.reshape(len(cutout.terms), -1)
        convolved = cutout.convolved.reshape(self.n_basis, -1)
        varying = convolved[1:, np.newaxis] * terms[: self._n_terms]
        return np.concatenate(
            [
                convolved[:1] * terms[: self._n_first],
                varying.reshape(-1, convolved.shape[1]),
                terms[: self._n_background],
            ]
        )

    def expand(
        self, forms: NDArray[np.float64], power: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return a quadratic form of the kernel's parameters.

        Parameters
        ----------
        forms : ndarray of float64, shape (n_basis, n_basis)
            The form for the coefficients of the basis at one position.
        power : ndarray of float64, shape (n_terms, n_terms)
            Sum over positions of weighted products of the terms.
        """
        everything = np.kron(forms, power)
        kept = np.r_[: self._n_first, self._n_terms : len(everything)]
        form: NDArray[np.float64] = everything[np.ix_(kept, kept)]
        return form

    def kernel(
        self, parameters: NDArray[np.float64], basis: NDArray[np.float64]
    ) -> MatchingKernel:
        """Return the matching kernel of a solution."""
        return MatchingKernel(
            basis=basis,
            coefficients=self._coefficients(parameters),
            image_shape=self.image_shape,
        )

    def background(self, parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the coefficients of the background of a solution."""
        return parameters[self._n_kernel :]

    def _coefficients(self, parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        coefficients = np.zeros((self.n_basis, self._n_terms))
        first, others = np.split(parameters[: self._n_kernel], [self._n_first])
        coefficients[0, : self._n_first] = first
        coefficients[1:] = others.reshape(-1, self._n_terms)
        return coefficients

    @property
    def _n_terms(self) -> int:
        return n_field_terms(self.kernel_order)

    @property
    def _n_parameters(self) -> int:
        return self._n_kernel + self._n_background

    @property
    def _n_background(self) -> int:
        return n_field_terms(self.background_order)

    @property
    def _n_first(self) -> int:
        return 1 if self.constant_sum else self._n_terms

    @property
    def _n_kernel(self) -> int:
        return self._n_first + (self.n_basis - 1) * self._n_terms


def constant_model(n_basis: int, image_shape: tuple[int, int]) -> SpatialModel:
    """Return the model of a single candidate: nothing varies."""
    return SpatialModel(
        n_basis=n_basis, kernel_order=0, background_order=0, image_shape=image_shape
    )
