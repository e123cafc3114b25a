"""The sums over pixels that least squares needs, and their solution."""

from dataclasses import dataclass, replace

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

    Attributes
    ----------
    matrix : ndarray of float64, shape (p, p)
    noise : ndarray of float64, shape (p, p)
        What the noise of the image to be convolved adds to ``matrix``, expected.
    vector : ndarray of float64, shape (p,)
    square, target_noise : float
        The sum of the target's squares, and what its noise adds to that, expected.
    n_pixels : int
    expected : ndarray of float64, shape (p, q), or None
        Combinations of parameters that are expected: what the data do not tell is
        taken from them, as far as they fit the data. Without any, it is zero.
    """

    matrix: NDArray[np.float64]
    noise: NDArray[np.float64]
    vector: NDArray[np.float64]
    square: float
    target_noise: float
    n_pixels: int
    expected: NDArray[np.float64] | None = None

    def expecting(self, expected: NDArray[np.float64]) -> "NormalEquations":
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

        To drop them would take some light away from every star. So what is expected
        is fitted first, and the others to what that leaves.

        Variances may be overstated, and then more noise would be taken out than
        there is: it is never taken to be more than residuals show.
        """
        fit = _Fit(self)
        return fit.applied(self.vector), fit.condition

    @property
    def solver(self) -> NDArray[np.float64]:
        """Return the matrix whose product with ``vector`` is the solution; (p, p)."""
        return _Fit(self).applied(np.eye(len(self.vector)))

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
            vector=to.T @ self.vector,
            expected=None,
        )

    def noise_share(self, parameters: NDArray[np.float64]) -> float:
        """Return the power of the residuals over that of the noise, 1 at most."""
        fitted = parameters @ (self.matrix @ parameters - 2 * self.vector)
        stated = self.target_noise + parameters @ self.noise @ parameters
        stated *= 1 - len(parameters) / max(self.n_pixels, 1)
        if not stated > 0:
            return 1.0
        return float(np.clip((self.square + fitted) / stated, 0, 1))


class _Fit:
    """The solution of normal equations, with as much noise as there is."""

    def __init__(self, equations: NormalEquations) -> None:
        self._equations = equations
        self._free = _Decomposition.of(equations)
        restricted = equations.restricted
        self._first = None if restricted is None else _Decomposition.of(restricted)
        # From too much noise there is no way back: it leaves no signal.
        self._share = 0.0
        for _ in range(_NOISE_PASSES):
            self._share = equations.noise_share(self.applied(equations.vector))

    @property
    def condition(self) -> float:
        """Return the condition number of the scaled matrix."""
        return self._free.condition

    def applied(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the parameters for a vector, or several; shape (p,) or (p, n)."""
        expected, share = self._equations.expected, self._share
        if self._first is None or expected is None:
            return self._free.applied(vectors, share)
        first = expected @ self._first.applied(expected.T @ vectors, share)
        signal = self._equations.matrix - share * self._equations.noise
        return first + self._free.applied(vectors - signal @ first, share)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Decomposition:
    """Independent combinations of parameters.

    Attributes
    ----------
    axes : ndarray of float64, shape (p, q)
        The combinations, for which the matrix is the unit matrix.
    noise : ndarray of float64, shape (q,)
        The part of that which is noise.
    blur : float
        The variance of that part if it is all.
    condition : float
    """

    axes: NDArray[np.float64]
    noise: NDArray[np.float64]
    blur: float
    condition: float

    @classmethod
    def of(cls, equations: NormalEquations) -> "_Decomposition":
        """Return the decomposition of the matrix and its noise."""
        norms = np.sqrt(np.diag(equations.matrix))
        scale = np.divide(1, norms, out=np.zeros_like(norms), where=norms > 0)
        values, vectors = np.linalg.eigh(equations.matrix * np.outer(scale, scale))
        known = values > max(_SMALLEST_EIGENVALUE * values[-1], 0)
        whiten = scale[:, np.newaxis] * vectors[:, known] / np.sqrt(values[known])
        noise, axes = np.linalg.eigh(whiten.T @ equations.noise @ whiten)
        smallest = max(values[0], np.finfo(float).eps * values[-1])
        return cls(
            axes=whiten @ axes,
            noise=np.clip(noise, 0, None),
            blur=4 * len(equations.vector) / max(equations.n_pixels, 1),
            condition=float(values[-1] / smallest),
        )

    def applied(
        self, vectors: NDArray[np.float64], share: float
    ) -> NDArray[np.float64]:
        """Return the parameters if the noise is but a share of what is stated."""
        noise = np.minimum(share * self.noise, 1)
        signal = 1 - noise
        gain = signal / (np.square(signal) + self.blur * noise)
        parameters: NDArray[np.float64] = self.axes @ ((gain * self.axes).T @ vectors)
        return parameters
