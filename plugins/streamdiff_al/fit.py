"""Least squares for the matching kernel and the background, jointly over an image.

Alard & Lupton 1998, ApJ 503, 325; varying over the image as in Alard 2000, A&AS
144, 363, with Chebyshev polynomials.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from scipy.signal import fftconvolve

from streamdiff.model import MatchingKernel
from streamdiff.model.field import n_field_terms
from streamdiff_al.cutout import Cutout
from streamdiff_al.design import design, flat
from streamdiff_al.local_terms import as_planes, expanded, planes_within
from streamdiff_al.normal_equations import NormalEquations

# Sums of so many rows are kept from fit to fit; those of some hundred candidates with
# more would fill the memory.
FEW_ROWS = 150
# Many terms cost the square of their number: beyond this order they are summed as
# planes, where a candidate's square is a small part of the image's side.
_EXACT_ORDER, _SMALL_PART = 1, 0.1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sums:
    """What one candidate adds to the normal equations; q rows of its design.

    Candidates may be stacked: every array has one more axis then, the first.

    Attributes
    ----------
    matrix : ndarray of float64, shape (q, q)
    vector : ndarray of float64, shape (q,)
    planes : ndarray of float64, shape (n_terms, 3), or None
        The terms of the kernel, if the rows are planes; else they are parameters.
    square, target_noise : ndarray of float64, shape ()
    power : ndarray of float64, shape (n_terms, n_terms)
        Products of the terms, weighted with the variance of what is convolved.
    n_pixels : ndarray of int, shape ()
    """

    matrix: NDArray[np.float64]
    vector: NDArray[np.float64]
    planes: NDArray[np.float64] | None
    square: NDArray[np.float64]
    target_noise: NDArray[np.float64]
    power: NDArray[np.float64]
    n_pixels: NDArray[np.intp]

    def take(self, row: int) -> "Sums":
        """Return a copy of the sums of one of a stack."""
        names = (f.name for f in fields(self) if getattr(self, f.name) is not None)
        return replace(self, **{n: np.array(getattr(self, n)[row]) for n in names})


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
        parts = zip(cutouts, variances, strict=True)
        return self.summed([self.sums(*part) for part in parts], overlaps)

    def sums(self, cutout: Cutout, variance: NDArray[np.float64]) -> Sums:
        """Return what a candidate, or each of a stack, adds to the normal equations.

        Parameters
        ----------
        cutout : Cutout
        variance : ndarray of float64, shape (m, m)
            Of target - convolved.
        """
        weight = np.where(cutout.usable, 1 / variance, 0)
        root = np.sqrt(weight)[..., np.newaxis, :, :]
        small = cutout.side <= _SMALL_PART * min(self.image_shape)
        terms = cutout.terms[..., : self._n_terms, :, :]
        background = cutout.terms[..., : self._n_background, :, :] * root
        if self.kernel_order > _EXACT_ORDER and small:
            within = planes_within(cutout.side) * root
            rows = design(cutout.convolved, within, background, n_first=3)
            planes = as_planes(terms)
        else:
            rows = design(
                cutout.convolved, terms * root, background, n_first=self._n_first
            )
            planes = None
        target = flat(cutout.target * root[..., 0, :, :])
        own_noise = weight * cutout.own_source_variance
        powers = terms * own_noise[..., np.newaxis, :, :]
        return Sums(
            # of a matrix and its own transpose BLAS makes but one half
            matrix=rows @ rows.swapaxes(-1, -2),
            vector=(rows @ target[..., np.newaxis])[..., 0],
            planes=planes,
            square=np.square(target).sum(axis=-1),
            target_noise=(weight * cutout.target_variance).sum(axis=(-2, -1)),
            power=flat(powers) @ flat(terms).swapaxes(-1, -2),
            n_pixels=cutout.usable.sum(axis=(-2, -1)),
        )

    def each(self, sums: Sums, overlaps: NDArray[np.float64]) -> NormalEquations:
        """Return the normal equations of each of a stack of candidates, or of one.

        Parameters
        ----------
        sums : Sums
            Of this model, whose rows are parameters.
        overlaps : ndarray of float64, shape (n_basis, n_basis)
            Sums of products of basis kernels.
        """
        return NormalEquations(
            matrix=sums.matrix,
            noise=self._noise(overlaps, sums.power),
            vector=sums.vector,
            square=sums.square,
            target_noise=sums.target_noise,
            n_pixels=sums.n_pixels,
        )

    def summed(
        self, sums: Sequence[Sums], overlaps: NDArray[np.float64]
    ) -> NormalEquations:
        """Return the normal equations of candidates.

        Parameters
        ----------
        sums : sequence of Sums
            Of this model.
        overlaps : ndarray of float64, shape (n_basis, n_basis)
            Sums of products of basis kernels.
        """
        if sums[0].planes is None:
            matrix = sum((own.matrix for own in sums[1:]), sums[0].matrix.copy())
            vector = np.sum([own.vector for own in sums], axis=0)
        else:
            matrix, vector = self._of_planes(sums)
        power = np.sum([own.power for own in sums], axis=0)
        return NormalEquations(
            matrix=matrix,
            noise=self._noise(overlaps, power),
            vector=vector,
            square=np.sum([own.square for own in sums], axis=0),
            target_noise=np.sum([own.target_noise for own in sums], axis=0),
            n_pixels=np.sum([own.n_pixels for own in sums], axis=0),
        )

    def noise_of_vector(
        self,
        cutout: Cutout,
        variance: NDArray[np.float64],
        kernel: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Return the covariance of what a candidate adds to ``vector``; (p, p).

        Parameters
        ----------
        cutout : Cutout
        variance : ndarray of float64, shape (m, m)
            Its inverse weighs the pixels.
        kernel : ndarray of float64, shape (size, size)
            What the image to be convolved, and its noise, is convolved with.
        """
        weight = np.where(cutout.usable, 1 / variance, 0)
        terms, n_background = cutout.terms * weight, self._n_background
        weighted = design(
            cutout.convolved,
            terms[: self._n_terms],
            terms[:n_background],
            n_first=self._n_first,
        ).reshape(-1, *weight.shape)
        spread = fftconvolve(weighted, kernel[np.newaxis, ::-1, ::-1], axes=(1, 2))
        of_target = _power(weighted, cutout.target_variance)
        return of_target + _power(spread, cutout.source_variance)

    def predict(
        self, parameters: NDArray[np.float64], cutout: Cutout
    ) -> NDArray[np.float64]:
        """Return the fit to the target of a candidate, or each of a stack; (m, m)."""
        coefficients = self._coefficients(parameters).swapaxes(-1, -2)
        images = coefficients @ flat(cutout.convolved)
        background = self.background(parameters)[..., np.newaxis]
        terms = flat(cutout.terms)
        fitted = _summed(terms, images) + _summed(terms, background)
        return fitted.reshape(cutout.target.shape)

    def _of_planes(
        self, sums: Sequence[Sums]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return matrix and vector of candidates whose sums are those of planes."""
        matrix, vector = expanded(
            [own.matrix for own in sums],
            np.array([own.vector for own in sums]),
            np.array([own.planes for own in sums]),
            self.n_basis,
        )
        n_kernel = self.n_basis * self._n_terms
        kept = np.r_[self._varied, n_kernel : n_kernel + self._n_background]
        return matrix[np.ix_(kept, kept)], vector[kept]

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
        n_coefficients, varied = self.n_basis * self._n_terms, self._varied
        products = (
            forms[:, np.newaxis, :, np.newaxis]
            * power[..., np.newaxis, :, np.newaxis, :]
        )
        everything = products.reshape(*power.shape[:-2], n_coefficients, n_coefficients)
        return everything[..., varied[:, np.newaxis], varied]

    def scaled(self, kernel: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the parameters that are a kernel times a scale, and a background.

        Parameters
        ----------
        kernel : ndarray of float64, shape (n_basis,)
            The same everywhere but for its scale, which varies where sums do.

        Returns
        -------
        ndarray of float64, shape (p, q)
        """
        of_terms = [np.outer(kernel, term) for term in np.eye(self._n_terms)]
        scales = np.reshape(of_terms[: self._n_first], (self._n_first, -1))
        combinations: NDArray[np.float64] = linalg.block_diag(
            scales[:, self._varied].T, np.eye(self._n_background)
        )
        return combinations

    def kernel(
        self,
        parameters: NDArray[np.float64],
        basis: NDArray[np.float64],
        covariance: NDArray[np.float64] | None = None,
    ) -> MatchingKernel:
        """Return the matching kernel of a solution.

        Parameters
        ----------
        parameters : ndarray of float64, shape (p,)
        basis : ndarray of float64, shape (n_basis, size, size)
        covariance : ndarray of float64, shape (p, p), optional
            Of the parameters.
        """
        if covariance is not None:
            covariance = self._of_coefficients(covariance)
        return MatchingKernel(
            basis=basis,
            coefficients=self._coefficients(parameters),
            image_shape=self.image_shape,
            covariance=covariance,
        )

    def background(self, parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the coefficients of the background of a solution."""
        return parameters[..., self._n_kernel :]

    def _coefficients(self, parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        coefficients = np.zeros((*parameters.shape[:-1], self.n_basis * self._n_terms))
        coefficients[..., self._varied] = parameters[..., : self._n_kernel]
        return coefficients.reshape(*parameters.shape[:-1], self.n_basis, -1)

    def _noise(
        self, overlaps: NDArray[np.float64], power: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return what noise adds to the normal matrix: nothing to the background's."""
        noise = np.zeros((*power.shape[:-2], self._n_parameters, self._n_parameters))
        noise[..., : self._n_kernel, : self._n_kernel] = self.expand(overlaps, power)
        return noise

    @property
    def _n_terms(self) -> int:
        return n_field_terms(self.kernel_order)

    def _of_coefficients(self, covariance: NDArray[np.float64]) -> NDArray[np.float64]:
        everything = np.zeros((self.n_basis * self._n_terms,) * 2)
        of_kernel = covariance[: self._n_kernel, : self._n_kernel]
        everything[np.ix_(self._varied, self._varied)] = of_kernel
        return everything

    @property
    def _varied(self) -> NDArray[np.intp]:
        """Return which of the coefficients of all terms are parameters."""
        n_coefficients = self.n_basis * self._n_terms
        constant = np.arange(self._n_first)
        return np.concatenate([constant, np.arange(self._n_terms, n_coefficients)])

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


def level(
    variance: NDArray[np.float64], usable: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the same variance for all pixels, the median of the usable ones."""
    known = np.where(usable, variance, np.nan)
    median = np.nanmedian(known, axis=(-2, -1), keepdims=True)
    return np.broadcast_to(median, variance.shape)


def _summed(
    terms: NDArray[np.float64], images: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the sum of the first terms, each times its own image or number."""
    summed: NDArray[np.float64] = np.einsum(
        "...tp,...tp->...p", terms[..., : images.shape[-2], :], images
    )
    return summed


def _power(
    images: NDArray[np.float64], variance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the covariance of the sums of noise times each image; (n, n)."""
    flat = images.reshape(len(images), -1)
    power: NDArray[np.float64] = (flat * variance.ravel()) @ flat.T
    return power
