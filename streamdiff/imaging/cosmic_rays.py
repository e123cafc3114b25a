"""Cosmic rays: pixels that stand out more than any star can.

The rule of the photometric pipeline of the Sloan Digital Sky Survey (Lupton, Gunn,
Ivezic, Knapp, Kent & Yasuda 2001, ASP Conf. Ser. 238, 269): across some direction, a
cosmic ray falls off faster than the PSF does. We ask it of either sign, and spare the
lobes of dipoles, which are narrower than the PSF, too.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph
from scipy.spatial import cKDTree

from streamdiff.imaging.compiled import compiled
from streamdiff.imaging.places import places
from streamdiff.model import Difference, Exposure
from streamdiff.model.planes import read_only

# Opposite neighbours: along the row, the column, both diagonals.
_ACROSS = ((0, 1), (1, 0), (1, 1), (1, -1))
_WITHIN_2 = tuple((dy, dx) for dy in range(-2, 3) for dx in range(-2, 3))
_TOUCHING = tuple((dy, dx) for dy, dx in _WITHIN_2 if abs(dy) < 2 and abs(dx) < 2)
_MARGIN, _DIAGONAL = 2, 1.5
# Errors of a pixel, and of its neighbours, that are given to the benefit of a star.
_BENEFIT = 2.0
# With so much of the other sign within 2 px, it is a lobe of a dipole.
_OTHER_LOBE = 0.5
# What touches a cosmic ray belongs to it from this part of the threshold on, in so
# many steps.
_TAIL, _STEPS = 0.5, 6


@dataclass(frozen=True, slots=True, kw_only=True)
class CosmicRayRules:
    """What is a cosmic ray.

    Attributes
    ----------
    sigma : float
        By how much a pixel exceeds the mean of two opposite neighbours, at least
        [sigma]; infinite to seek none.
    contrast : float
        That mean over the pixel's value is less than this fraction of what it is in
        the middle of the PSF.
    """

    sigma: float
    contrast: float


def find_cosmic_rays(
    image: Exposure | Difference,
    psf: NDArray[np.float64],
    usable: NDArray[np.bool_],
    rules: CosmicRayRules,
) -> NDArray[np.bool_]:
    """Return True on the pixels of cosmic rays, of either sign; shape (ny, nx).

    Parameters
    ----------
    image : Exposure or Difference
        Without its sky.
    psf : ndarray of float64, shape (ky, kx)
        PSF of the image.
    usable : ndarray of bool, shape (ny, nx)
        Pixels that can be cosmic rays, or tell about their neighbours.
    rules : CosmicRayRules

    Notes
    -----
    The cost beyond a comparison per pixel grows with the number of bright ones.
    """
    if not rules.sigma < np.inf:
        return np.zeros(usable.shape, bool)
    pixels = _Pixels.of(image, usable, _falls(psf), rules)
    at = places(pixels.bright)
    found = np.zeros(pixels.known.shape, bool)
    stands_out = pixels.stand_out(at, found, rules.sigma)
    rows, columns = at[0][stands_out], at[1][stands_out]
    found[rows, columns] = ~pixels.beside_other_lobe((rows, columns))
    for _ in range(_STEPS):
        near = _any_of(found, at) & ~found[at]
        tail = at[0][near], at[1][near]
        more = pixels.stand_out(tail, found, _TAIL * rules.sigma)
        if not more.any():
            break
        found[tail[0][more], tail[1][more]] = True
    return found[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]


def count_groups(plane: NDArray[np.bool_]) -> int:
    """Return how many groups of touching True pixels there are."""
    pixels = np.stack(places(plane), axis=1)
    if not len(pixels):
        return 0
    pairs = cKDTree(pixels).query_pairs(_DIAGONAL, output_type="ndarray")
    n = len(pixels)
    touching = sparse.coo_array((np.ones(len(pairs)), tuple(pairs.T)), shape=(n, n))
    return int(csgraph.connected_components(touching, directed=False)[0])


_Places = tuple[NDArray[np.intp], NDArray[np.intp]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Pixels:
    """Planes with a margin that is unknown, and how a PSF falls off.

    ``bright`` are the pixels that may belong to a cosmic ray.
    """

    image: NDArray[np.float32]
    variance: NDArray[np.float32]
    known: NDArray[np.bool_]
    bright: NDArray[np.bool_]
    falls: tuple[float, ...]
    rules: CosmicRayRules

    @classmethod
    def of(
        cls,
        image: Exposure | Difference,
        usable: NDArray[np.bool_],
        falls: tuple[float, ...],
        rules: CosmicRayRules,
    ) -> "_Pixels":
        height, width = (n + 2 * _MARGIN for n in usable.shape)
        values, variance = np.zeros((2, height, width), np.float32)
        known, bright = np.zeros((2, height, width), np.bool_)
        least = np.float32((_TAIL * rules.sigma) ** 2)
        given = (image.image, image.variance, read_only(usable))
        _take_in(*given, least, values, variance, known, bright)
        return cls(
            image=values,
            variance=variance,
            known=known,
            bright=bright,
            falls=falls,
            rules=rules,
        )

    def stand_out(
        self, at: _Places, found: NDArray[np.bool_], sigma: float
    ) -> NDArray[np.bool_]:
        """Return whether pixels fall off too fast; those found are no neighbours."""
        value, variance = self.image[at], self.variance[at]
        sign = np.sign(value)
        height, error = np.abs(value), np.sqrt(variance)
        result = np.zeros(height.shape, bool)
        for (dy, dx), fall in zip(_ACROSS, self.falls, strict=True):
            total, spread, n = np.zeros((3, *height.shape))
            for side in (1, -1):
                place = at[0] + side * dy, at[1] + side * dx
                counts = self.known[place] & ~found[place]
                total += np.where(counts, sign * self.image[place], 0)
                spread += np.where(counts, self.variance[place], 0)
                n += counts
            n = np.maximum(n, np.finfo(float).tiny)
            mean, of_mean = total / n, np.sqrt(spread) / n
            high = height - mean > sigma * np.sqrt(variance + of_mean**2)
            star = self.rules.contrast * fall * (height - _BENEFIT * error)
            result |= (n >= 1) & high & (mean + _BENEFIT * of_mean < star)
        return result

    def beside_other_lobe(self, at: _Places) -> NDArray[np.bool_]:
        """Return whether pixels have others of the other sign beside them."""
        value = self.image[at]
        sign = np.sign(value)
        lowest = np.zeros_like(value)
        for dy, dx in _WITHIN_2:
            lowest = np.minimum(lowest, sign * self.image[at[0] + dy, at[1] + dx])
        return lowest < -_OTHER_LOBE * np.abs(value)


@compiled
def _take_in(
    image: NDArray[np.float32],
    variance: NDArray[np.float32],
    usable: NDArray[np.bool_],
    least: np.float32,
    out_image: NDArray[np.float32],
    out_variance: NDArray[np.float32],
    known: NDArray[np.bool_],
    bright: NDArray[np.bool_],
) -> None:
    """Fill in the inner part of planes: one pass over the pixels, instead of ten."""
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            value, noise = image[row, column], variance[row, column]
            if not (usable[row, column] and np.isfinite(value)):
                continue
            if not (np.isfinite(noise) and noise > 0):
                continue
            y, x = row + _MARGIN, column + _MARGIN
            out_image[y, x] = value
            out_variance[y, x] = noise
            known[y, x] = True
            bright[y, x] = value * value > least * noise


def _falls(psf: NDArray[np.float64]) -> tuple[float, ...]:
    """Return the mean of opposite neighbours over the middle of a PSF."""
    padded = np.pad(psf, 1)
    y, x = (n // 2 for n in padded.shape)
    return tuple(
        float(padded[y + dy, x + dx] + padded[y - dy, x - dx]) / (2 * padded[y, x])
        for dy, dx in _ACROSS
    )


def _any_of(found: NDArray[np.bool_], at: _Places) -> NDArray[np.bool_]:
    """Return whether pixels touch one that was found."""
    touches = np.zeros(at[0].shape, bool)
    for dy, dx in _TOUCHING:
        touches |= found[at[0] + dy, at[1] + dx]
    return touches
