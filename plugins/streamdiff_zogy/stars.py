"""How the stars of two exposures compare: their fluxes and their positions.

Each image is convolved with the PSF of the other. Both then show the same scene with
the same PSF, blends and all, but for the ratio of their fluxes F, a shift d, and a
constant: N * P_r = F (1 - d . grad + (d . grad)^2 / 2) (R * P_n) + constant. Three
weights around each star that sum to 0, the common PSF and its two derivatives, make
three equations for F and d. The weights have no noise: that of the images biases
nothing.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft

from streamdiff.imaging.stamps import (
    Stamps,
    centred_psf_stamps,
    cut_stamps,
)
from streamdiff.imaging.stars import Stars
from streamdiff.model import UNUSABLE, Exposure, Psf
from streamdiff.model.psf import fwhm
from streamdiff_zogy.filters import fast_odd_side, stamp_of, transform_centred

# Radius of the weights [FWHM of the wider PSF].
_RADIUS = 1.5
_MIN_USABLE = 0.9
# What is farther away is another star, and beyond the expansion [pixel].
_MAX_SHIFT = 1.0
# The weights of so many stars at a time stay in the cache.
_BATCH = 16
# The terms of second order are small: their error is of fourth order after this.
_STEPS = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StarPairs:
    """Stars in both exposures; every attribute has shape (n,).

    Attributes
    ----------
    flux_ratio, flux_ratio_error : ndarray of float64
        Flux in the science image over that in the template.
    dx, dy, dx_error, dy_error : ndarray of float64
        Position in the science image minus that in the template [pixel].
    """

    flux_ratio: NDArray[np.float64]
    flux_ratio_error: NDArray[np.float64]
    dx: NDArray[np.float64]
    dy: NDArray[np.float64]
    dx_error: NDArray[np.float64]
    dy_error: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.dx)

    def take(self, rows: ArrayLike) -> "StarPairs":
        """Return the stars that an index or boolean array names."""
        rows = np.asarray(rows)
        return StarPairs(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


def compare_stars(science: Exposure, template: Exposure, stars: Stars) -> StarPairs:
    """Return how the stars of a template look in a science exposure.

    Parameters
    ----------
    science, template : Exposure
        On the same pixels, with their PSFs.
    stars : Stars
        Stars of the template. Those that are not usable in both images, or not
        within a pixel of their place, are left out.
    """
    if not len(stars):
        return StarPairs(**{f.name: np.zeros(0) for f in fields(StarPairs)})
    parts = [
        _compared(science, template, stars.x[part], stars.y[part])
        for part in _batches(len(stars))
    ]
    columns = [
        np.concatenate([getattr(part, f.name) for part in parts])
        for f in fields(StarPairs)
    ]
    return StarPairs(
        **{f.name: c for f, c in zip(fields(StarPairs), columns, strict=True)}
    )


def _batches(n: int) -> list[slice]:
    return [slice(start, start + _BATCH) for start in range(0, n, _BATCH)]


def _compared(
    science: Exposure,
    template: Exposure,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
) -> StarPairs:
    weights = _Weights.of(science.psf, template.psf, x, y)
    side = weights.of_science.shape[-1]
    ours, theirs = (
        cut_stamps(e, x, y, (side, side), exclude=UNUSABLE) for e in (science, template)
    )
    usable = ours.usable & theirs.usable
    good = _mostly(usable, weights.core)
    # What one image lacks is taken from both.
    seen = [s.image * usable for s in (ours, theirs)]
    right = np.einsum("njyx,nyx->nj", weights.of_science, seen[0])
    sums = weights.template_sums(seen[1])
    left, bends = sums[..., :3], sums[..., 3:]
    good &= _regular(left)
    inverse = np.full(left.shape, np.nan)
    inverse[good] = np.linalg.inv(left[good])
    solution = np.einsum("njk,nk->nj", inverse, right)
    for _ in range(_STEPS):
        x_shift, y_shift = -solution[:, 1:].T / solution[:, 0]
        squares = np.stack([x_shift**2 / 2, y_shift**2 / 2, x_shift * y_shift], axis=1)
        bent = solution[:, :1] * np.einsum("njk,nk->nj", bends, squares)
        solution = np.einsum("njk,nk->nj", inverse, right - bent)
    ratio, shift = solution[:, 0], -solution[:, 1:] / solution[:, :1]

    noise = _noise(weights.of_science, ours)
    noise += ratio[:, None, None] ** 2 * _noise(weights.of_template, theirs)
    error = np.sqrt(np.einsum("nij,njk,nik->ni", inverse, noise, inverse))
    error[:, 1:] /= np.abs(ratio)[:, np.newaxis]
    pairs = StarPairs(
        flux_ratio=ratio,
        flux_ratio_error=error[:, 0],
        dx=shift[:, 0],
        dy=shift[:, 1],
        dx_error=error[:, 1],
        dy_error=error[:, 2],
    )
    known = good & np.isfinite(solution).all(axis=1) & (error > 0).all(axis=1)
    known &= (ratio > 0) & (np.hypot(*shift.T) <= _MAX_SHIFT)
    return pairs.take(known)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Weights:
    """Weights of pixels around each star, in place of convolutions of the images.

    Attributes
    ----------
    of_science, of_template : ndarray of float64, shape (n or 1, 3, side, side)
        For the three sums over N * P_r, and over R * P_n.
    spectra : ndarray of complex128, shape (n or 1, 3, side, side // 2 + 1)
        The transforms of ``of_template``, conjugate.
    core : int
        Odd side of the weights before the convolution.
    """

    of_science: NDArray[np.float64]
    of_template: NDArray[np.float64]
    spectra: NDArray[np.complex128]
    core: int

    @classmethod
    def of(
        cls, science: Psf, template: Psf, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> "_Weights":
        psfs = [centred_psf_stamps(p, x, y) for p in (science, template)]
        psfs = [_without_repeats(p) for p in psfs]
        psf_side = max(max(p.shape[1:]) for p in psfs)
        widest = max(fwhm(p.mean(axis=0)) for p in psfs)
        core = 2 * int(np.ceil(_RADIUS * widest)) + 1
        side = fast_odd_side(core + psf_side - 1)
        p_n, p_r = (transform_centred(p, (side, side))[:, np.newaxis] for p in psfs)
        common = stamp_of(_derivatives(side)[:3] * p_n * p_r, side)
        w = transform_centred(_confined(common, core), (side, side))
        of_template = w * p_n.conj()
        return cls(
            of_science=stamp_of(w * p_r.conj(), side),
            spectra=of_template.conj(),
            of_template=stamp_of(of_template, side),
            core=core,
        )

    def template_sums(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sums over R * P_n and its derivatives; shape (n, 3, 6).

        Those by x, y, xx, yy and xy. By Parseval's theorem, they are sums over the
        frequencies of the images, shape (n, side, side).
        """
        side = pixels.shape[-1]
        image = transform_centred(pixels, (side, side))[:, np.newaxis]
        # All columns of half a plane but the first stand for two.
        twice = np.where(np.arange(side // 2 + 1), 2 / side**2, 1 / side**2)
        products = (self.spectra * (image * twice)).reshape(len(pixels), 3, -1)
        sums: NDArray[np.float64] = products @ _derivatives(side).reshape(6, -1).T
        return sums.real


def _without_repeats(stamps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the only stamp where all are views of one."""
    return stamps[:1] if stamps.strides[0] == 0 else stamps


def _derivatives(side: int) -> NDArray[np.complex128]:
    """Return the transforms of 1, d/dx, d/dy and their squares and product."""
    x, y = np.meshgrid(fft.rfftfreq(side), fft.fftfreq(side))
    x, y = 2j * np.pi * x, 2j * np.pi * y
    return np.stack([np.ones_like(x), x, y, x**2, y**2, x * y])


def _confined(stamps: NDArray[np.float64], core: int) -> NDArray[np.float64]:
    """Return the discs in the middle of stamps, shifted to sum to 0."""
    cut = (stamps.shape[-1] - core) // 2
    inner = stamps[..., cut : cut + core, cut : cut + core]
    offset = np.arange(core) - core // 2
    disc = np.hypot(offset, offset[:, np.newaxis]) <= core // 2
    mean = np.mean(inner[..., disc], axis=-1)[..., np.newaxis, np.newaxis]
    confined: NDArray[np.float64] = np.where(disc, inner - mean, 0)
    return confined


def _mostly(usable: NDArray[np.bool_], core: int) -> NDArray[np.bool_]:
    """Return for which stamps all of the core and most of the rest is usable."""
    border = (usable.shape[1] - core) // 2
    inner = usable[:, border : border + core, border : border + core]
    mostly = usable.mean(axis=(1, 2)) >= _MIN_USABLE
    return np.asarray(inner.all(axis=(1, 2)) & mostly)


def _regular(matrices: NDArray[np.float64]) -> NDArray[np.bool_]:
    scale = np.abs(matrices).max(axis=(1, 2))
    scaled = matrices / np.where(scale > 0, scale, 1)[:, None, None]
    regular: NDArray[np.bool_] = np.abs(np.linalg.det(scaled)) > np.finfo(float).eps
    return regular


def _noise(weights: NDArray[np.float64], stamps: Stamps) -> NDArray[np.float64]:
    """Return the covariances of the sums; shape (n, 3, 3)."""
    power = stamps.variance * stamps.covariance_factor[:, None, None]
    weighted = weights * power[:, np.newaxis]
    covariance: NDArray[np.float64] = np.einsum(
        "niyx,njyx->nij", weighted, np.broadcast_to(weights, weighted.shape)
    )
    return covariance
