"""The sums over pixels that least squares needs, and their solution."""

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

# Combinations of parameters that the data know so much worse than the best known
# one are left at zero: rounding would decide about them.
_SMALLEST_EIGENVALUE = 1e-10
# Fits that find out how much noise there is.
_NOISE_PASSES = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NormalEquations:
    """The sums over pixels that least squares needs: matrix @ parameters = vector.

    Several equations of as many parameters may be stacked, and are solved at once: all
    but ``expected`` have one more axis then, the first.

    Attributes
    ----------
    matrix : ndarray of float64, shape (p, p)
    noise : ndarray of float64, shape (p, p)
        What the noise of the image to be convolved adds to ``matrix``, expected.
    vector : ndarray of float64, shape (p,)
    square, target_noise : ndarray of float64, shape ()
        The sum of the target's squares, and what its noise adds to that, expected.
    n_pixels : ndarray of int, shape ()
    expected : ndarray of float64, shape (p, q), or None
        Combinations of parameters that are expected: what the data do not tell is
        taken from them, as far as they fit the data. Without any, it is zero.
    """

    matrix: NDArray[np.float64]
    noise: NDArray[np.float64]
    vector: NDArray[np.float64]
    square: NDArray[np.float64]
    target_noise: NDArray[np.float64]
    n_pixels: NDArray[np.intp]
    expected: NDArray[np.float64] | None = None

    def take(self, row: int) -> "NormalEquations":
        """Return the equations of that number in a stack."""
        stacked = (f.name for f in fields(self) if f.name != "expected")
        return replace(self, **{name: getattr(self, name)[row] for name in stacked})

    def expecting(self, expected: NDArray[np.float64] | None) -> "NormalEquations":
        """Return the equations with combinations of parameters that are expected."""
        return replace(self, expected=expected)

    def penalised(self, penalty: NDArray[np.float64]) -> "NormalEquations":
        """Return the equations whose solution makes parameters' penalty small, too.

        Parameters
        ----------
        penalty : ndarray of float64, shape (q, q)
            For the first q <= p parameters: a' penalty a is added to the sum of
            squared residuals.
        """
        matrix, q = self.matrix.copy(), penalty.shape[-1]
        matrix[..., :q, :q] += penalty
        return replace(self, matrix=matrix)

    def solve(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
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

        To drop them would take some light away from every star. So what is expected
        is fitted first, and the others to what that leaves.

        Variances may be overstated, and then more noise would be taken out than
        there is: it is never taken to be more than residuals show.
        """
        fit = _Fit(self)
        return fit.parameters, fit.condition

    @property
    def solver(self) -> NDArray[np.float64]:
        """Return the matrix whose product with ``vector`` is the solution; (p, p)."""
        return _Fit(self).applied(np.eye(self.vector.shape[-1]))

    @property
    def restricted(self) -> "NormalEquations | None":
        """Return the equations for what is expected alone, if anything is."""
        if self.expected is None:
            return None
        to = self.expected
        return replace(
            self,
            matrix=to.T @ self.matrix @ to,
            noise=to.T @ self.noise @ to,
            vector=self.vector @ to,
            expected=None,
        )

    def noise_share(self, parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the power of the residuals over that of the noise, 1 at most."""
        fitted = _form(self.matrix, parameters)
        fitted -= 2 * (self.vector * parameters).sum(axis=-1)
        stated = self.target_noise + _form(self.noise, parameters)
        stated *= 1 - parameters.shape[-1] / np.maximum(self.n_pixels, 1)
        left = np.where(stated > 0, self.square + fitted, 1)
        share: NDArray[np.float64] = left / np.where(stated > 0, stated, 1)
        return np.clip(share, 0, 1)


class _Fit:
    """The solution of normal equations, with as much noise as there is."""

    def __init__(self, equations: NormalEquations) -> None:
        self._equations = equations
        self._free = _Decomposition.of(equations)
        restricted = equations.restricted
        self._first = None if restricted is None else _Decomposition.of(restricted)
        # From too much noise there is no way back: it leaves no signal.
        self._share = np.zeros_like(equations.square)
        for _ in range(_NOISE_PASSES):
            self._share = equations.noise_share(self.parameters)

    @property
    def condition(self) -> NDArray[np.float64]:
        """Return the condition number of the scaled matrix."""
        return self._free.condition

    @property
    def parameters(self) -> NDArray[np.float64]:
        """Return the solution."""
        return self.applied(self._equations.vector[..., np.newaxis])[..., 0]

    def applied(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the parameters for vectors, each a column; (p, n) as they are."""
        expected, share = self._equations.expected, self._share
        if self._first is None or expected is None:
            return self._free.applied(vectors, share)
        first = expected @ self._first.applied(expected.T @ vectors, share)
        noise = share[..., np.newaxis, np.newaxis] * (self._equations.noise @ first)
        left = vectors - (self._equations.matrix @ first - noise)
        return first + self._free.applied(left, share)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Decomposition:
    """Independent combinations of parameters.

    Attributes
    ----------
    axes : ndarray of float64, shape (p, p)
        The combinations, for which the matrix is the unit matrix; those that the data
        do not tell are 0.
    noise : ndarray of float64, shape (p,)
        The part of that which is noise.
    blur : ndarray of float64, shape ()
        The variance of that part if it is all.
    condition : ndarray of float64, shape ()
    """

    axes: NDArray[np.float64]
    noise: NDArray[np.float64]
    blur: NDArray[np.float64]
    condition: NDArray[np.float64]

    @classmethod
    def of(cls, equations: NormalEquations) -> "_Decomposition":
        """Return the decomposition of the matrix and its noise."""
        norms = np.sqrt(np.diagonal(equations.matrix, axis1=-2, axis2=-1))
        scale = np.divide(1, norms, out=np.zeros_like(norms), where=norms > 0)
        rows, columns = scale[..., np.newaxis], scale[..., np.newaxis, :]
        values, vectors = np.linalg.eigh(equations.matrix * rows * columns)
        largest = np.maximum(values[..., -1:], 0)
        known = values > _SMALLEST_EIGENVALUE * largest
        roots = np.sqrt(values, out=np.full_like(values, np.inf), where=known)
        whiten = rows * vectors / roots[..., np.newaxis, :]
        noise, axes = np.linalg.eigh(whiten.swapaxes(-1, -2) @ equations.noise @ whiten)
        smallest = np.maximum(values[..., :1], np.finfo(float).eps * values[..., -1:])
        return cls(
            axes=whiten @ axes,
            noise=np.clip(noise, 0, None),
            blur=4 * values.shape[-1] / np.maximum(equations.n_pixels, 1),
            condition=(values[..., -1:] / smallest)[..., 0],
        )

    def applied(
        self, vectors: NDArray[np.float64], share: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the parameters if the noise is but a share of what is stated."""
        noise = np.minimum(share[..., np.newaxis] * self.noise, 1)
        signal = 1 - noise
        gain = signal / (np.square(signal) + self.blur[..., np.newaxis] * noise)
        along = self.axes.swapaxes(-1, -2) @ vectors
        parameters: NDArray[np.float64] = self.axes @ (gain[..., np.newaxis] * along)
        return parameters


def _form(
    matrix: NDArray[np.float64], parameters: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the value of a quadratic form."""
    product = (matrix @ parameters[..., np.newaxis])[..., 0]
    value: NDArray[np.float64] = (parameters * product).sum(axis=-1)
    return value
