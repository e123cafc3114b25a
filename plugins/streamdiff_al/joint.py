"""The fit to all candidates."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from streamdiff.model import MatchingKernel
from streamdiff_al.cutout import Cutout
from streamdiff_al.fit import SpatialModel
from streamdiff_al.normal_equations import NormalEquations


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JointBasis:
    """What the kernel of all candidates is made of.

    Attributes
    ----------
    kernels : ndarray of float64, shape (n_basis, size, size)
    overlaps : ndarray of float64, shape (n_basis, n_basis)
        Sums of products of them.
    mixes : ndarray of float64, shape (n_basis, n), or None
        They in terms of the basis that cutouts are convolved with, if it is another.
    expected : ndarray of float64, shape (n_basis,), or None
        Coefficients of the kernel that is expected, but for a factor.
    """

    kernels: NDArray[np.float64]
    overlaps: NDArray[np.float64]
    mixes: NDArray[np.float64] | None = None
    expected: NDArray[np.float64] | None = None

    def mixed(self, mixes: NDArray[np.float64]) -> "JointBasis":
        """Return the basis of combinations of these kernels; ``mixes`` as above.

        The first of them is what is expected.
        """
        return JointBasis(
            kernels=np.tensordot(mixes, self.kernels, 1),
            overlaps=mixes @ self.overlaps @ mixes.T,
            mixes=mixes,
            expected=np.eye(len(mixes))[0],
        )

    def of(self, cutout: Cutout) -> Cutout:
        """Return the cutout for this basis."""
        return cutout if self.mixes is None else cutout.mixed(self.mixes)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JointFit:
    """A kernel and a background that fit all candidates.

    Attributes
    ----------
    model : SpatialModel
    basis : JointBasis
    equations : NormalEquations
    parameters : ndarray of float64, shape (p,)
        Their solution.
    condition : float
        Their condition number.
    """

    model: SpatialModel
    basis: JointBasis
    equations: NormalEquations
    parameters: NDArray[np.float64] = field(repr=False)
    condition: float

    @classmethod
    def of(
        cls,
        model: SpatialModel,
        basis: JointBasis,
        equations: NormalEquations,
        *,
        penalty: NDArray[np.float64] | None = None,
    ) -> "JointFit":
        """Return the fit to candidates.

        Parameters
        ----------
        model : SpatialModel
        basis : JointBasis
        equations : NormalEquations
            Of all candidates.
        penalty : ndarray of float64, shape (q, q), optional
            See `streamdiff_al.fit.NormalEquations.penalised`.
        """
        if basis.expected is not None:
            equations = equations.expecting(model.scaled(basis.expected))
        if penalty is not None:
            equations = equations.penalised(penalty)
        parameters, condition = equations.solve()
        return cls(
            model=model,
            basis=basis,
            equations=equations,
            parameters=parameters,
            condition=float(condition),
        )

    @property
    def kernel(self) -> MatchingKernel:
        """Return the matching kernel."""
        return self.model.kernel(self.parameters, self.basis.kernels)

    @property
    def background(self) -> NDArray[np.float64]:
        """Return the coefficients of the background, in single precision.

        That is the precision of the images; and so they survive a change of the
        unit, and back.
        """
        background = self.model.background(self.parameters)
        return background.astype(np.float32).astype(float)

    def left_of(self, cutout: Cutout) -> NDArray[np.float64]:
        """Return what is left of the target of a candidate; shape (m, m)."""
        return cutout.target - self.model.predict(
            self.parameters, self.basis.of(cutout)
        )

    def kernel_with_covariance(
        self,
        cutouts: Sequence[Cutout],
        variances: Sequence[NDArray[np.float64]],
        kernels: Sequence[NDArray[np.float64]],
    ) -> MatchingKernel:
        """Return the matching kernel with its covariance.

        Parameters
        ----------
        cutouts, variances
            Those that were fitted.
        kernels : sequence of ndarray of float64, shape (size, size)
            The kernel at each of them, which correlates their noise.

        Notes
        -----
        The inverse of the normal matrix would be the covariance if the noise of all
        pixels were independent; but one of the images is convolved. So the noise of
        both is carried through the solution. What else is left of candidates, since
        PSFs vary more than the model does, is taken to be distributed as the noise.

        Combinations of parameters that candidates hardly tell, details that do not
        show on stars, scatter by up to 1.4 times as much: the solution is not linear
        in their noise.
        """
        parts = list(zip(cutouts, variances, kernels, strict=True))
        noise = sum(
            self.model.noise_of_vector(self.basis.of(cutout), variance, kernel)
            for cutout, variance, kernel in parts
        )
        squares = [
            np.square(self.left_of(cutout) / np.sqrt(cutout.variance(kernel)))
            for cutout, _, kernel in parts
        ]
        usable = np.array([cutout.usable for cutout in cutouts])
        excess = max(float(np.array(squares)[usable].mean()), 1.0)
        solver = self.equations.solver
        covariance = excess * solver @ noise @ solver.T
        return self.model.kernel(self.parameters, self.basis.kernels, covariance)
