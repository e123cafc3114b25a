"""Stars and their neighbours, fitted and subtracted with one PSF.

The scheme of DAOPHOT's ALLSTAR (Stetson 1987, PASP 99, 191): every source is
fitted on the image without all others, until nothing moves.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.stamps import centred_psf_stamps
from streamdiff.model import Psf
from streamdiff_psf.stamps import (
    Positions,
    Stamps,
    add_stamps,
    cut_out,
    fraction,
    gradients,
    shift_profiles,
)

_SWEEPS = 3
# Simultaneous corrections of overlapping sources overshoot.
_DAMPING = 0.8
_MAX_STEP = 0.3
_FIT_RADIUS = 1.0
_RING = (2.5, 4.5)
_REGULARISATION = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sources:
    """Point sources; arrays of float64, shape (n,)."""

    x: Positions
    y: Positions
    flux: NDArray[np.float64]

    def first(self, n: int) -> "Sources":
        """Return the first n sources."""
        return Sources(x=self.x[:n], y=self.y[:n], flux=self.flux[:n])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pixels:
    """What fits need of an exposure; shape (ny, nx).

    Attributes
    ----------
    image : ndarray of float32
        0 where ``weight`` is 0.
    weight : ndarray of float32
        Inverse variance; 0 where there is no data.
    """

    image: NDArray[np.float32]
    weight: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fit:
    """Sources after a fit.

    Attributes
    ----------
    sources : Sources
    residual : ndarray of float64, shape (ny, nx)
        The image without all of them; meaningless where there is no data.
    centred : ndarray of float64, shape (n, side, side)
        The PSF at each source, centred on the middle pixel.
    """

    sources: Sources
    residual: NDArray[np.float64]
    centred: Stamps


def fit_sources(pixels: Pixels, sources: Sources, psf: Psf, fwhm: float) -> Fit:
    """Return the fluxes and positions that fit best, all sources together."""
    centred = centred_psf_stamps(psf, sources.x, sources.y)
    residual = pixels.image.astype(float)
    fit = Fit(sources=sources, residual=residual, centred=centred)
    add_stamps(residual, -_models(fit), sources.x, sources.y)
    for _ in range(_SWEEPS):
        level = local_level(residual, pixels, sources, fwhm)
        better = replace(
            fit, sources=_corrected(pixels, fit, level, _FIT_RADIUS * fwhm)
        )
        # In place: sources cover little of an image.
        add_stamps(residual, _models(fit), fit.sources.x, fit.sources.y)
        add_stamps(residual, -_models(better), better.sources.x, better.sources.y)
        fit = better
    return fit


def local_level(
    residual: NDArray[np.float64], pixels: Pixels, sources: Sources, fwhm: float
) -> NDArray[np.float64]:
    """Return the level that sources stand on, shape (n,): the median of a ring.

    The ring is so wide that a star that is wider than the PSF does not raise it.
    """
    half = int(np.ceil(_RING[1] * fwhm))
    distance = np.hypot(*np.mgrid[-half : half + 1, -half : half + 1])
    ring = (distance >= _RING[0] * fwhm) & (distance <= _RING[1] * fwhm)
    values = cut_out(residual, sources.x, sources.y, half)[:, ring]
    known = cut_out(pixels.weight, sources.x, sources.y, half)[:, ring] > 0
    # A ring without data has no level of its own: it gets that of the sky.
    known[~known.any(axis=1)] = True
    # What is unknown is sorted to the end.
    values = np.sort(np.where(known, values, np.inf), axis=1)
    n = known.sum(axis=1)
    middle = np.stack([(n - 1) // 2, n // 2], axis=1)
    median: NDArray[np.float64] = np.take_along_axis(values, middle, 1).mean(axis=1)
    return median


def _models(fit: Fit) -> Stamps:
    """Return sources as they are on the image."""
    sources = fit.sources
    shapes = shift_profiles(fit.centred, fraction(sources.x), fraction(sources.y))
    return shapes * sources.flux[:, np.newaxis, np.newaxis]


def _corrected(
    pixels: Pixels, fit: Fit, level: NDArray[np.float64], radius: float
) -> Sources:
    """Return sources moved by one step of a Gauss-Newton fit of each alone."""
    sources, half = fit.sources, fit.centred.shape[1] // 2
    dx, dy = fraction(sources.x), fraction(sources.y)
    shapes = shift_profiles(fit.centred, dx, dy)
    flux = np.maximum(sources.flux, np.finfo(float).tiny)[:, np.newaxis, np.newaxis]
    by_x, by_y = gradients(shapes)
    weight = cut_out(pixels.weight, sources.x, sources.y, half)
    weight *= _disc(half, dx, dy, radius)
    design = np.stack([shapes, -by_x * flux, -by_y * flux])
    data = cut_out(fit.residual, sources.x, sources.y, half)
    data -= level[:, np.newaxis, np.newaxis]
    step = _solve(design, weight, data)
    move_x, move_y = np.clip(_DAMPING * step[:, 1:].T, -_MAX_STEP, _MAX_STEP)
    return replace(
        sources,
        x=sources.x + move_x,
        y=sources.y + move_y,
        flux=np.maximum(sources.flux + _DAMPING * step[:, 0], 0),
    )


def _solve(design: Stamps, weight: Stamps, data: Stamps) -> NDArray[np.float64]:
    """Return weighted least-squares solutions, shape (n, terms)."""
    normal = np.einsum("anij,nij,bnij->nab", design, weight, design, optimize=True)
    right = np.einsum("anij,nij,nij->na", design, weight, data, optimize=True)
    scale = np.sqrt(np.einsum("naa->na", normal))
    scale[scale == 0] = 1
    normal /= scale[:, :, np.newaxis] * scale[:, np.newaxis, :]
    normal += _REGULARISATION * np.eye(normal.shape[1])
    solution = np.linalg.solve(normal, (right / scale)[..., np.newaxis])[..., 0]
    return np.asarray(solution / scale, float)


def _disc(half: int, dx: Positions, dy: Positions, radius: float) -> Stamps:
    v, u = np.mgrid[-half : half + 1, -half : half + 1]
    distance = np.hypot(
        u - dx[:, np.newaxis, np.newaxis], v - dy[:, np.newaxis, np.newaxis]
    )
    return np.where(distance <= radius, 1.0, 0.0)
