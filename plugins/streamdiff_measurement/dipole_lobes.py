"""The two lobes of a dipole, fitted to the difference and to what went into it.

Flux and position of the star on the science image (positive lobe) and on the
template (negative lobe) are fitted to both images and to their difference at
once: the images tell the flux, the difference tells the displacement.
"""

from copy import copy
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.shifted_stamps import shifted_with_derivatives
from streamdiff.imaging.stamps import Stamps
from streamdiff_measurement.least_squares import inverses

_STEPS, _MAX_STEP, _CONVERGED, _DONE = 8, 0.5, 0.02, 1e-3
# Of the six, flux, column and row of both lobes: those that difference, science image
# and template depend on.
_PARAMETERS = slice(0, 6), slice(0, 3), slice(3, 6)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lobes:
    """Fitted lobes; n of each.

    Attributes
    ----------
    lobes : ndarray of float64, shape (n, 2, 3)
        Flux, column and row from the middle of the stamp, of the positive and
        of the negative lobe; both fluxes are positive. NaN where the fit failed.
    covariance : ndarray of float64, shape (n, 6, 6)
        Of ``lobes``.
    explained : ndarray of float64, shape (n,)
        Sum of squares of the difference that they explain.
    chi2 : ndarray of float64, shape (n,)
        Chi-squared of what is left of it.
    """

    lobes: NDArray[np.float64]
    covariance: NDArray[np.float64]
    explained: NDArray[np.float64]
    chi2: NDArray[np.float64]


class Plane:
    """Stamps of one image without the planes that fit to them, and its PSF.

    Terms that are fitted to them lose their planes too, so that it is as if a
    sky level and its slope were fitted with every one of them.

    Parameters
    ----------
    stamps : Stamps
        n, k pixels square.
    psf : ndarray of float64, shape (n, k, k) or (1, k, k)
    scale : float
        What takes the image to the flux scale of the difference.
    weight : float
        Of the image in a fit to more than one.
    """

    def __init__(
        self,
        stamps: Stamps,
        psf: NDArray[np.float64],
        *,
        scale: float = 1.0,
        weight: float = 1.0,
    ) -> None:
        self._psf = psf
        self._usable = stamps.usable.reshape(len(stamps.image), 1, -1)
        self._sky = _orthonormal_planes(self._usable, stamps.image.shape[-1])
        noise = scale**2 * stamps.covariance_factor[:, None, None] * stamps.variance
        self.variance = noise.reshape(len(noise), -1)
        image = scale * stamps.image.reshape(self._usable.shape)
        self.pixels = self._without_plane(image)[:, 0]
        mean = self.variance.sum(axis=1) / np.maximum(self._usable.sum(axis=2)[:, 0], 1)
        self.weight = np.divide(weight, mean, out=np.zeros_like(mean), where=mean > 0)[
            :, np.newaxis, np.newaxis
        ]

    def take(self, rows: NDArray[np.bool_]) -> Self:
        """Return some of the stamps."""
        taken = copy(self)
        of_each = ["_usable", "_sky", "variance", "pixels", "weight"]
        if len(self._psf) > 1:
            of_each.append("_psf")
        for name in of_each:
            setattr(taken, name, getattr(self, name)[rows])
        return taken

    def terms(self, lobe: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return derivatives of lobes by flux, x and y, shape (n, 3, k * k).

        Parameters
        ----------
        lobe : ndarray of float64, shape (n, 3)
            Flux, column and row.
        """
        terms = shifted_with_derivatives(self._psf, lobe[:, 1:], order=1)
        terms[:, 1:] *= lobe[:, 0, np.newaxis, np.newaxis, np.newaxis]
        return self._without_plane(terms.reshape(*terms.shape[:2], -1))

    def _without_plane(self, terms: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return terms without their planes, changed in place."""
        terms *= self._usable
        terms -= (terms @ self._sky.swapaxes(1, 2)) @ self._sky
        return terms


def _orthonormal_planes(usable: NDArray[np.bool_], side: int) -> NDArray[np.float64]:
    """Return a constant and two slopes, orthonormal on usable pixels."""
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j].reshape(2, -1)
    planes = np.where(usable, np.stack([np.ones_like(x), x, y]), 0)
    size, turn = np.linalg.eigh(planes @ planes.swapaxes(1, 2))
    known = size > np.finfo(float).eps * usable.sum(axis=2)
    scale = np.divide(1, np.sqrt(np.abs(size)), out=np.zeros_like(size), where=known)
    along: NDArray[np.float64] = turn.swapaxes(1, 2) @ planes
    along *= scale[:, :, np.newaxis]
    return along


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Triplet:
    """What the lobes are fitted to: the same positions on three images."""

    difference: Plane
    science: Plane
    template: Plane

    def fit(
        self, start: NDArray[np.float64], *, reach: float, max_separation: float
    ) -> Lobes:
        """Return the lobes that fit best, by Gauss-Newton steps.

        Parameters
        ----------
        start : ndarray of float64, shape (n, 2, 3)
            As `Lobes.lobes`.
        reach : float
            Fits with a lobe farther from its start have failed [pixel].
        max_separation : float
            Farthest that the lobes may be apart [pixel].
        """
        lobes, steps = start.copy(), np.zeros_like(start)
        moving, part = np.arange(len(start)), self
        for _ in range(_STEPS):
            here = lobes[moving]
            step = part._step(part._terms(here), here)
            near = start[moving][..., 1:]
            here = here + step
            here[..., 1:] = np.clip(here[..., 1:], near - reach, near + reach)
            lobes[moving], steps[moving] = here, step
            going = np.abs(step[..., 1:]).max(axis=(1, 2)) >= _DONE
            if not going.any():
                break
            moving, part = moving[going], part.take(going)
        moved = np.abs(lobes - start)[..., 1:].max(axis=(1, 2))
        apart = np.hypot(*(lobes[:, 0, 1:] - lobes[:, 1, 1:]).T)
        good = np.abs(steps[..., 1:]).max(axis=(1, 2)) < _CONVERGED
        good &= (moved < reach) & (apart <= max_separation)
        good &= (lobes[..., 0] > 0).all(axis=1)
        lobes = np.where(good[:, np.newaxis, np.newaxis], lobes, np.nan)
        return self._result(lobes, self._terms(lobes))

    def take(self, rows: NDArray[np.bool_]) -> Self:
        """Return that of some of the stamps."""
        return type(self)(
            difference=self.difference.take(rows),
            science=self.science.take(rows),
            template=self.template.take(rows),
        )

    def star_fluxes(self, centre: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return fluxes of point sources on science image and template.

        Parameters
        ----------
        centre : ndarray of float64, shape (n, 2)
            Column and row.

        Returns
        -------
        ndarray of float64, shape (n, 2)
            0 where there is none.
        """
        lobe = np.column_stack([np.ones(len(centre)), centre])
        fluxes = []
        for plane in (self.science, self.template):
            psf = plane.terms(lobe)[:, 0]
            power = np.sum(psf**2, axis=1)
            match = np.sum(psf * plane.pixels, axis=1)
            fluxes.append(
                np.divide(match, power, out=np.zeros_like(match), where=power > 0)
            )
        return np.stack(fluxes, axis=1)

    @property
    def _planes(self) -> tuple[Plane, Plane, Plane]:
        return self.difference, self.science, self.template

    def _terms(self, lobes: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """Return derivatives of each image by those of `_PARAMETERS` it depends on."""
        positive, negative = lobes.swapaxes(0, 1)
        star, old = self.difference.terms(positive), self.difference.terms(negative)
        both = np.concatenate([star, np.negative(old, out=old)], axis=1)
        return [both, self.science.terms(positive), self.template.terms(negative)]

    def _step(
        self, terms: list[NDArray[np.float64]], lobes: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        right = np.zeros((len(lobes), 6, 1))
        for term, plane, those in zip(terms, self._planes, _PARAMETERS, strict=True):
            left = plane.pixels - _model(term, lobes, those)
            right[:, those] += plane.weight * (term @ left[:, :, np.newaxis])
        step = np.nan_to_num(self._inverse(terms) @ right).reshape(-1, 2, 3)
        step[..., 1:] = np.clip(step[..., 1:], -_MAX_STEP, _MAX_STEP)
        return step

    def _inverse(self, terms: list[NDArray[np.float64]]) -> NDArray[np.float64]:
        normal = np.zeros((len(terms[0]), 6, 6))
        for term, plane, those in zip(terms, self._planes, _PARAMETERS, strict=True):
            normal[:, those, those] += plane.weight * (term @ term.swapaxes(1, 2))
        return inverses(normal)

    def _covariance(self, terms: list[NDArray[np.float64]]) -> NDArray[np.float64]:
        """Return covariances: the noise of the difference is that of the images."""
        inverse = self._inverse(terms)
        difference, science, template = (
            (inverse[:, :, those] * plane.weight) @ term
            for term, plane, those in zip(terms, self._planes, _PARAMETERS, strict=True)
        )
        total = np.zeros_like(inverse)
        for gain, plane in (
            (science + difference, self.science),
            (template - difference, self.template),
        ):
            total += (gain * plane.variance[:, np.newaxis]) @ gain.swapaxes(1, 2)
        return total

    def _result(
        self, lobes: NDArray[np.float64], terms: list[NDArray[np.float64]]
    ) -> Lobes:
        left = self.difference.pixels - _model(terms[0], lobes, _PARAMETERS[0])
        used = self.difference.variance > 0
        variance = np.where(used, self.difference.variance, 1)
        return Lobes(
            lobes=lobes,
            covariance=self._covariance(terms),
            explained=np.sum(self.difference.pixels**2 - left**2, axis=1),
            chi2=np.sum(np.where(used, left**2 / variance, 0), axis=1),
        )


def _model(
    terms: NDArray[np.float64], lobes: NDArray[np.float64], those: slice
) -> NDArray[np.float64]:
    """Return the lobes that an image has as pixels, shape (n, k * k)."""
    flux = lobes.reshape(-1, 6)[:, those][:, ::3]
    return np.asarray(np.einsum("nk,nkm->nm", flux, terms[:, ::3]))
