"""How a PSF changes over the image, in few numbers.

A PSF that becomes wider, more elongated or more lopsided changes along the
derivatives of its mean (the Gram-Charlier expansion of its moments). Fitting
their weights instead of every pixel lets some dozens of stars tell the field.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from streamdiff.model.field import field_terms, n_field_terms
from streamdiff_psf.profile import core_window
from streamdiff_psf.stamps import Positions, Stamps

# Orders (by row, by column): size and shape, lopsidedness, and large changes.
_DERIVATIVES = [(d - i, i) for d in (2, 3, 4) for i in range(d + 1)]
_SMOOTHING = 0.2
# Cross-validated, an order must explain at least so much more of the scatter.
_MIN_GAIN = 0.01
STARS_PER_ORDER = {1: 10, 2: 25}


def fit_variation(
    mean: NDArray[np.float64],
    stars: Stamps,
    weight: NDArray[np.float64],
    x: Positions,
    y: Positions,
    *,
    fwhm: float,
    max_order: int,
    image_shape: tuple[int, int],
) -> NDArray[np.float64]:
    """Return the coefficients of a `streamdiff.model.PolynomialPsf`.

    Parameters
    ----------
    mean : ndarray of float64, shape (side, side)
        The mean PSF.
    stars : ndarray of float64, shape (n, side, side)
        Centred stars of sum 1.
    weight : ndarray of float64, shape (n,)
    x, y : ndarray of float64, shape (n,)
        Positions of the stars.
    fwhm : float
    max_order : int
        Largest order that is tried.
    image_shape : tuple of int
        (height, width).
    """
    basis = _basis(mean, fwhm)
    window = core_window(mean.shape[0], fwhm).ravel()
    design = (basis.reshape(len(basis), -1) * window).T
    deviations = (stars - mean).reshape(len(stars), -1) * window
    amplitudes = np.asarray(
        np.linalg.lstsq(design, deviations.T, rcond=None)[0].T, float
    )

    order, error = 0, _cross_validated(amplitudes, design, weight, x, y, 0, image_shape)
    for candidate in range(1, max_order + 1):
        if len(stars) < STARS_PER_ORDER.get(candidate, 15 * candidate):
            break
        tried = _cross_validated(
            amplitudes, design, weight, x, y, candidate, image_shape
        )
        if tried < (1 - _MIN_GAIN) * error:
            order, error = candidate, tried
    if order == 0:
        return mean[np.newaxis]
    terms = field_terms(x, y, order, image_shape)
    weights = _polynomial(terms, amplitudes, weight)
    coefficients = np.tensordot(weights, basis, 1)
    coefficients[0] += mean
    return np.asarray(coefficients)


def _basis(mean: NDArray[np.float64], fwhm: float) -> Stamps:
    """Return derivatives of the mean, each with sum 0 and unit norm."""
    window = core_window(mean.shape[0], fwhm)
    derivatives = [
        ndimage.gaussian_filter(mean, _SMOOTHING * fwhm, order=orders) * window
        for orders in _DERIVATIVES
    ]
    balanced = [d - d.sum() * mean for d in derivatives]
    return np.array([d / np.linalg.norm(d) for d in balanced])


def _polynomial(
    terms: NDArray[np.float64],
    amplitudes: NDArray[np.float64],
    weight: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the weights of the basis, shape (n_terms, n_basis)."""
    root = np.sqrt(weight)
    solution = np.linalg.lstsq(
        terms.T * root[:, np.newaxis], amplitudes * root[:, np.newaxis], rcond=None
    )[0]
    return np.asarray(solution, float)


def _cross_validated(
    amplitudes: NDArray[np.float64],
    design: NDArray[np.float64],
    weight: NDArray[np.float64],
    x: Positions,
    y: Positions,
    order: int,
    image_shape: tuple[int, int],
) -> float:
    """Return the squared error of stars that a fit has not seen."""
    terms = field_terms(x, y, order, image_shape)
    folds = np.arange(len(x)) % 5
    metric = design.T @ design
    error = 0.0
    for fold in range(5):
        test = folds == fold
        if (~test).sum() < n_field_terms(order):
            return np.inf
        fitted = _polynomial(terms[:, ~test], amplitudes[~test], weight[~test])
        missed = amplitudes[test] - terms[:, test].T @ fitted
        error += float(np.einsum("n,na,ab,nb", weight[test], missed, metric, missed))
    return error
