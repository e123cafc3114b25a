"""Trails fitted to stamps, by damped Gauss-Newton steps."""

from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.stamps import (
    Stamps,
    centred_psf_stamps,
    cut_stamps,
    nearest_pixels,
    resized_stamps,
)
from streamdiff.model import ConstantPsf, Difference, MaskPlane, Psf
from streamdiff_measurement.least_squares import inverses
from streamdiff_measurement.source_moments import typical_fwhm
from streamdiff_measurement.trail_model import TrailModel

_STEPS, _CONVERGED, _AT_MINIMUM = 30, 0.01, 0.1
# Of chi-squared: a fit is within 0.03 of its errors of the minimum.
_NO_GAIN = 1e-3
_MARGIN_FWHM = 2.0
_DAMPING, _LESS, _MORE = 1e-2, 0.2, 10.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trails:
    """Fitted trails; n of each.

    Attributes
    ----------
    flux : ndarray of float64, shape (n,)
        NaN where the fit failed.
    trail : ndarray of float64, shape (n, 4)
        As in `TrailModel.terms`.
    covariance : ndarray of float64, shape (n, 5, 5)
        Of the flux, then of ``trail``.
    chi2 : ndarray of float64, shape (n,)
    n_pixels : ndarray of int64, shape (n,)
    """

    flux: NDArray[np.float64]
    trail: NDArray[np.float64]
    covariance: NDArray[np.float64]
    chi2: NDArray[np.float64]
    n_pixels: NDArray[np.int64]

    @property
    def length(self) -> NDArray[np.float64]:
        """Return the lengths [pixel]."""
        return np.hypot(self.trail[:, 2], self.trail[:, 3])


def fit_trails(
    stamps: Stamps,
    model: TrailModel,
    start: NDArray[np.float64],
    *,
    max_step: float,
    shortest: float,
) -> Trails:
    """Return the trails that fit best.

    Parameters
    ----------
    stamps : Stamps
        n, square.
    model : TrailModel
    start : ndarray of float64, shape (n, 4)
        Where to start, as in `TrailModel.terms`.
    max_step : float
        Longest step of an end [pixel].
    shortest : float
        A fit that arrives at less has failed: nothing tells the direction of what
        has no length, and it would go on for long [pixel].
    """
    n = len(start)
    problem = _Problem(
        model=model,
        usable=stamps.usable.reshape(n, -1),
        image=stamps.image.reshape(n, -1),
        variance=stamps.variance.reshape(n, -1),
        factor=stamps.covariance_factor,
    )
    trail, damping = start.copy(), np.full(n, _DAMPING)
    moving, here = np.arange(n), problem.at(trail)
    state, few = here.take(moving), problem
    for _ in range(_STEPS):
        step = _clipped(few.step(here, damping[moving]), max_step)
        there = few.at(trail[moving] + step)
        gain = here.residual - there.residual
        better = gain > 0
        better &= np.abs(trail[moving] + step).max(axis=1) < model.size
        trail[moving[better]] += step[better]
        here.put(better, there.take(better))
        damping[moving] *= np.where(better, _LESS, _MORE)
        # A step that gains nothing ends the fit if it is a short one.
        going = np.abs(step).max(axis=1) > _CONVERGED
        going &= ~better | (gain > _NO_GAIN * few.noise)
        going &= np.hypot(*trail[moving, 2:].T) >= shortest
        if not going.all():
            state.put(moving[~going], here.take(~going))
            moving, few, here = moving[going], few.take(going), here.take(going)
        if not moving.size:
            break
    state.put(moving, here)
    return problem.result(trail, state)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _State:
    """Fluxes that suit trails, and what is left."""

    terms: NDArray[np.float64]
    flux: NDArray[np.float64]
    left: NDArray[np.float64]
    residual: NDArray[np.float64]

    def take(self, rows: NDArray[Any]) -> "_State":
        """Return those of some."""
        return _State(**{name: getattr(self, name)[rows] for name in self.__slots__})

    def put(self, rows: NDArray[Any], other: "_State") -> None:
        """Replace those of some."""
        for name in self.__slots__:
            getattr(self, name)[rows] = getattr(other, name)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Problem:
    """What trails are fitted to: pixels of stamps in rows, shape (n, m)."""

    model: TrailModel
    usable: NDArray[np.bool_]
    image: NDArray[np.float64]
    variance: NDArray[np.float64]
    factor: NDArray[np.float64]

    def take(self, rows: NDArray[np.bool_]) -> "_Problem":
        """Return that of some."""
        return _Problem(
            model=self.model.take(rows),
            usable=self.usable[rows],
            image=self.image[rows],
            variance=self.variance[rows],
            factor=self.factor[rows],
        )

    @property
    def noise(self) -> NDArray[np.float64]:
        """Return the mean variance of usable pixels, shape (n,)."""
        n_pixels = np.maximum(self.usable.sum(axis=1), 1)
        mean: NDArray[np.float64] = self.variance.sum(axis=1) / n_pixels
        return mean

    def at(self, trail: NDArray[np.float64]) -> _State:
        terms = self.model.terms(trail, self.usable)
        power = np.einsum("nm,nm->n", terms[:, 0], terms[:, 0])
        match = np.einsum("nm,nm->n", terms[:, 0], self.image)
        flux = np.divide(match, power, out=np.zeros_like(match), where=power > 0)
        left = self.image - flux[:, np.newaxis] * terms[:, 0]
        # The derivative by the flux has no flux in it, the others have.
        terms[:, 1:] *= flux[:, np.newaxis, np.newaxis]
        residual = np.einsum("nm,nm->n", left, left)
        return _State(terms=terms, flux=flux, left=left, residual=residual)

    def step(self, state: _State, damping: NDArray[np.float64]) -> NDArray[np.float64]:
        normal = state.terms @ state.terms.swapaxes(1, 2)
        diagonal = np.einsum("nii->ni", normal)
        damped = normal + np.eye(5) * (damping[:, np.newaxis] * diagonal)[:, np.newaxis]
        right = state.terms @ state.left[:, :, np.newaxis]
        solution: NDArray[np.float64] = (inverses(damped) @ right)[:, 1:, 0]
        return np.nan_to_num(solution)

    def result(self, trail: NDArray[np.float64], state: _State) -> Trails:
        """Return fits; those that are not at a minimum have failed."""
        ahead = np.abs(self.step(state, np.zeros(len(trail)))).max(axis=1)
        good = (state.flux != 0) & (ahead < _AT_MINIMUM)
        inverse = inverses(state.terms @ state.terms.swapaxes(1, 2))
        variance = (self.factor[:, np.newaxis] * self.variance)[:, np.newaxis]
        noise = (state.terms * variance) @ state.terms.swapaxes(1, 2)
        used = self.usable
        chi2 = np.where(used, state.left**2 / np.where(used, self.variance, 1), 0)
        return Trails(
            flux=np.where(good, state.flux, np.nan),
            trail=trail,
            covariance=inverse @ noise @ inverse,
            chi2=chi2.sum(axis=1),
            n_pixels=used.sum(axis=1),
        )


def _clipped(step: NDArray[np.float64], longest: float) -> NDArray[np.float64]:
    """Return steps, shape (n, 4), without any element larger than the longest."""
    size = np.abs(step).max(axis=1, keepdims=True)
    clipped: NDArray[np.float64] = step * (longest / np.maximum(size, longest))
    return clipped


def fit_at(
    difference: Difference,
    start: NDArray[np.float64],
    side: int,
    *,
    shortest: float,
    exclude: MaskPlane,
) -> Trails:
    """Return the trails on an image.

    Parameters
    ----------
    difference : Difference
    start : ndarray of float64, shape (n, 4)
        As `Trails.trail`, but on the image; the trails returned are, too.
    side : int
        Odd side of the stamps [pixel].
    shortest : float
        As for `fit_trails` [pixel].
    exclude : MaskPlane
        Pixels on any of these planes take no part.
    """
    x, y = start[:, 0], start[:, 1]
    width = typical_fwhm(difference)
    moved = np.zeros_like(start)
    moved[:, :2] = np.stack(nearest_pixels(x, y), axis=1)
    found = fit_trails(
        cut_stamps(difference, x, y, (side, side), exclude=exclude),
        TrailModel.of(_psfs(difference.psf, x, y, side), ceil(_MARGIN_FWHM * width)),
        start - moved,
        max_step=width,
        shortest=shortest,
    )
    return replace(found, trail=found.trail + moved)


def _psfs(
    psf: Psf, x: NDArray[np.float64], y: NDArray[np.float64], side: int
) -> NDArray[np.float64]:
    n = 1 if isinstance(psf, ConstantPsf) else len(x)
    return resized_stamps(centred_psf_stamps(psf, x[:n], y[:n]), side)
