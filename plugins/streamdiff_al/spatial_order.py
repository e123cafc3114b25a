"""How finely the matching kernel varies over an image, as far as candidates tell."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamdiff.model.field import field_order, n_field_terms
from streamdiff_al.fit import Sums

# A galaxy or a blend asks for a kernel of its own: of so many candidates, the ones to
# which the order matters most, none has a say.
_IGNORED = 0.05
# Combinations of parameters so much worse known than the best decide nothing.
_SMALLEST_EIGENVALUE = 1e-10


def choose_order(sums: Sequence[Sums], terms: NDArray[np.float64]) -> int:
    """Return the order of the variation that predicts the images best.

    Parameters
    ----------
    sums : sequence of Sums
        Of candidates, for a kernel and a background that do not vary.
    terms : ndarray of float64, shape (n, n_terms)
        Terms of the largest order at each of them.

    Notes
    -----
    The order of the least chi^2 + 2 p, for p parameters (Akaike 1974, IEEE Trans.
    Autom. Control 19, 716); chi^2 in units of what the largest order leaves of the
    usual candidate, where that is more than the noise. To decide, kernel and
    background are taken as constant within a candidate's square (Alard 2000), so that
    the sums over pixels are the same for all orders.
    """
    forms = _Forms(sums)
    orders = range(field_order(terms.shape[1]) + 1)
    left = np.array([forms.chi2(terms[:, : n_field_terms(order)]) for order in orders])
    usual = float(np.median(left[-1] / forms.n_pixels))
    left /= max(usual, 1.0)
    influence = np.ptp(left, axis=0)
    heard = influence <= np.quantile(influence, 1 - _IGNORED)
    n_parameters = [forms.n_rows * n_field_terms(order) for order in orders]
    return int(np.argmin(left[:, heard].sum(axis=1) + 2 * np.array(n_parameters)))


class _Forms:
    """The squared residuals of candidates as quadratic forms of their own kernels.

    The rows of the design are the image convolved with each basis kernel, and 1.
    """

    def __init__(self, sums: Sequence[Sums]) -> None:
        self.n_rows = len(sums[0].vector)
        self.n_pixels = np.array([own.n_pixels for own in sums])
        self._matrices = np.array([own.matrix for own in sums])
        self._vectors = np.array([own.vector for own in sums])
        self._squares = np.array([own.square for own in sums])

    def chi2(self, terms: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what the best fit leaves of each candidate; shape (n,).

        Parameters
        ----------
        terms : ndarray of float64, shape (n, n_terms)
        """
        n, n_terms = terms.shape
        pairs = terms[:, :, np.newaxis] * terms[:, np.newaxis]
        joint = self._matrices.reshape(n, -1).T @ pairs.reshape(n, -1)
        joint = joint.reshape(self.n_rows, self.n_rows, n_terms, n_terms)
        side = self.n_rows * n_terms
        matrix = joint.transpose(0, 2, 1, 3).reshape(side, side)
        parameters = _solved(matrix, (self._vectors.T @ terms).ravel())
        own = terms @ parameters.reshape(self.n_rows, n_terms).T
        fitted = np.einsum("cij,ci,cj->c", self._matrices, own, own)
        left: NDArray[np.float64] = (
            self._squares - 2 * np.einsum("ci,ci->c", self._vectors, own) + fitted
        )
        return left


def _solved(
    matrix: NDArray[np.float64], vector: NDArray[np.float64]
) -> NDArray[np.float64]:
    norms = np.sqrt(np.diag(matrix))
    scale = np.divide(1, norms, out=np.zeros_like(norms), where=norms > 0)
    scaled = matrix * np.outer(scale, scale)
    scaled[np.diag_indices_from(scaled)] += _SMALLEST_EIGENVALUE * len(scaled)
    solution: NDArray[np.float64] = scale * np.linalg.solve(scaled, scale * vector)
    return solution
