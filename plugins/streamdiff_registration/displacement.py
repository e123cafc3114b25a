"""A smooth field of displacements, fitted to the offsets of stars."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from streamdiff.model.field import field_order, field_terms, n_field_terms
from streamdiff_registration.offsets import Offsets

# Fewer stars per term would describe their own errors.
_STARS_PER_TERM = 5
_CLIP_SIGMA, _ROUNDS = 4.0, 15
# Of a normal distribution, that makes the fit 95 % as good as least squares
# (Holland & Welsch 1977).
_CAUCHY = 2.385
# Median of the square of a standard normal variable.
_MEDIAN_CHI2 = 0.4549364
# How far the field may go beyond its values at the stars, of their range: a
# polynomial means nothing where there are no stars.
_BEYOND = 0.25


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DisplacementField:
    """Displacements along x and y as polynomials of the position.

    Attributes
    ----------
    coefficients : ndarray of float64, shape (n_terms, 2)
        Of the terms of `streamdiff.model.field.field_terms` [pixel].
    image_shape : tuple of int
        (height, width).
    lowest, highest : ndarray of float64, shape (2,)
        Limits of the displacement [pixel].
    """

    coefficients: NDArray[np.float64]
    image_shape: tuple[int, int]
    lowest: NDArray[np.float64]
    highest: NDArray[np.float64]

    @property
    def order(self) -> int:
        """Return the order of the polynomials."""
        return field_order(len(self.coefficients))

    def at(
        self, x: ArrayLike, y: ArrayLike
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the displacements at positions, along x and y [pixel]."""
        terms = field_terms(x, y, self.order, self.image_shape)
        field = np.tensordot(self.coefficients, terms, axes=(0, 0))
        along_x, along_y = (
            np.clip(field[axis], self.lowest[axis], self.highest[axis])
            for axis in range(2)
        )
        return along_x, along_y


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DisplacementFit:
    """A field and the stars that made it.

    Attributes
    ----------
    field : DisplacementField
    used : ndarray of bool, shape (n,)
        False for stars that disagree with the others.
    scatter : tuple of float
        Scatter of the stars around the field along x and y, beyond that of
        their errors [pixel].
    """

    field: DisplacementField
    used: NDArray[np.bool_]
    scatter: tuple[float, float]


def fit_displacement(
    offsets: Offsets, image_shape: tuple[int, int], max_order: int
) -> DisplacementFit:
    """Return the field that describes the offsets of stars.

    Parameters
    ----------
    offsets : Offsets
        Of at least one star.
    image_shape : tuple of int
        (height, width).
    max_order : int

    Notes
    -----
    Stars weigh by their errors and the scatter that all have in common; those
    beyond 4 sigma are left out. Of the orders that the stars allow, that with
    the smallest Bayesian information criterion is taken (Schwarz 1978, Annals
    of Statistics 6, 461).
    """
    orders = range(_largest_order(len(offsets), max_order) + 1)
    x, y = offsets.position.T
    terms = field_terms(x, y, orders[-1], image_shape).T
    used, scatter = _clipped(offsets, terms)
    kept, error = offsets.take(used), np.hypot(offsets.error[used], scatter)
    fits = [_solve(terms[used, : n_field_terms(o)], kept.offset, error) for o in orders]
    criteria = [_information(terms[used], kept.offset, error, fit) for fit in fits]
    coefficients = fits[int(np.argmin(criteria))]
    fitted = terms[used, : len(coefficients)] @ coefficients
    beyond = _BEYOND * np.ptp(fitted, axis=0)
    scatter = _scatter(kept.offset - fitted, kept.error, len(coefficients))
    return DisplacementFit(
        field=DisplacementField(
            coefficients=coefficients,
            image_shape=image_shape,
            lowest=fitted.min(axis=0) - beyond,
            highest=fitted.max(axis=0) + beyond,
        ),
        used=used,
        scatter=(float(scatter[0]), float(scatter[1])),
    )


def _largest_order(n_stars: int, max_order: int) -> int:
    """Return the largest order with enough stars for each of its terms."""
    allowed = [
        order
        for order in range(1, max_order + 1)
        if n_stars >= _STARS_PER_TERM * n_field_terms(order)
    ]
    return max(allowed, default=0)


def _clipped(
    offsets: Offsets, terms: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return which stars agree, and their scatter along x and y."""
    pull, scatter = np.zeros(offsets.error.shape), np.zeros(2)
    for _ in range(_ROUNDS):
        # The weights of a Cauchy distribution: outliers hardly pull the fit.
        error = np.hypot(offsets.error, scatter) * np.hypot(1, pull / _CAUCHY)
        fit = _solve(terms, offsets.offset, error)
        residual = offsets.offset - terms @ fit
        scatter = _scatter(residual, offsets.error, len(fit))
        pull = residual / np.hypot(offsets.error, scatter)
    worst = np.abs(pull).max(axis=1)
    # Half of the stars agree by definition, whatever their offsets.
    return np.asarray(worst <= max(_CLIP_SIGMA, np.median(worst))), scatter


def _solve(
    terms: NDArray[np.float64], offset: NDArray[np.float64], error: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the coefficients along x and y, shape (n_terms, 2)."""
    along = [
        np.linalg.lstsq(terms / e[:, np.newaxis], d / e, rcond=None)[0]
        for d, e in zip(offset.T, error.T, strict=True)
    ]
    return np.column_stack(along)


def _information(
    terms: NDArray[np.float64],
    offset: NDArray[np.float64],
    error: NDArray[np.float64],
    coefficients: NDArray[np.float64],
) -> float:
    """Return the Bayesian information criterion of a fit."""
    residual = offset - terms[:, : len(coefficients)] @ coefficients
    chi2 = np.sum((residual / error) ** 2)
    return float(chi2 + coefficients.size * np.log(residual.size))


def _scatter(
    residual: NDArray[np.float64], error: NDArray[np.float64], n_terms: int
) -> NDArray[np.float64]:
    """Return the scatter along x and y beyond that of the errors, shape (2,).

    It is that with which the median of the squared pulls is that of a normal
    distribution, the terms that were fitted counted.
    """
    n = len(residual)
    square = residual**2 * n / max(n - n_terms, 1)
    return np.array([_extra(s, e**2) for s, e in zip(square.T, error.T, strict=True)])


def _extra(square: NDArray[np.float64], variance: NDArray[np.float64]) -> float:
    def excess(extra: float) -> float:
        return float(np.median(square / (variance + extra))) - _MEDIAN_CHI2

    if excess(0) <= 0:
        return 0.0
    return float(np.sqrt(brentq(excess, 0, square.max() / _MEDIAN_CHI2)))
