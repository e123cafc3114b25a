"""Cosmic rays: pixels that stand out more than any star can.

The rule of the photometric pipeline of the Sloan Digital Sky Survey (Lupton, Gunn,
Ivezic, Knapp, Kent & Yasuda 2001, ASP Conf. Ser. 238, 269): across some direction, a
cosmic ray falls off faster than the PSF does. We ask it of either sign, and spare the
lobes of dipoles, which are narrower than the PSF, too.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.compiled import compiled, inlined
from streamdiff.imaging.places import Places, places
from streamdiff.model import Difference, Exposure, MaskPlane

# Opposite neighbours: along the row, the column, both diagonals.
_ACROSS = ((0, 1), (1, 0), (1, 1), (1, -1))
# Errors of a pixel, and of its neighbours, that are given to the benefit of a star.
_BENEFIT = 2.0
# With so much of the other sign within 2 px, it is a lobe of a dipole.
_OTHER_LOBE = np.float32(0.5)
# What touches a cosmic ray belongs to it from this part of the threshold on, in so
# many steps.
_TAIL, _STEPS = 0.5, 6
# Pixels that are looked at together: nearly all are faint.
_RUN = 32


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
    exclude: MaskPlane,
    rules: CosmicRayRules,
) -> Places:
    """Return rows and columns of the pixels of cosmic rays, of either sign.

    Parameters
    ----------
    image : Exposure or Difference
        Without its sky.
    psf : ndarray of float64, shape (ky, kx)
        PSF of the image.
    exclude : MaskPlane
        Pixels of these planes are no cosmic rays, nor tell about their neighbours.
    rules : CosmicRayRules

    Notes
    -----
    The cost beyond a comparison per pixel grows with the number of bright ones.
    """
    found = np.zeros(image.shape, np.bool_)
    if rules.sigma < np.inf:
        planes = image.image, image.variance, image.mask, np.int32(exclude)
        steepest = np.asarray(rules.contrast * _falls(psf), np.float32)
        heads = _find_heads(*planes, steepest, rules.sigma, found)
        at = np.array(heads, np.int64).reshape(-1, 2)
        _mark_tails(*planes, steepest, rules.sigma, at, found)
    return places(found)


def _falls(psf: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the means of opposite neighbours over the middle of a PSF."""
    padded = np.pad(psf, 1)
    y, x = (n // 2 for n in padded.shape)
    sums = [padded[y + dy, x + dx] + padded[y - dy, x - dx] for dy, dx in _ACROSS]
    falls: NDArray[np.float64] = np.array(sums) / (2 * padded[y, x])
    return falls


# Below, ``steepest`` has the mean of opposite neighbours over the height of a pixel,
# for each pair of them: a cosmic ray has less.


@compiled
def _find_heads(
    image: NDArray[np.float32],
    variance: NDArray[np.float32],
    mask: NDArray[np.int32],
    exclude: np.int32,
    steepest: NDArray[np.float32],
    sigma: float,
    found: NDArray[np.bool_],
) -> list[tuple[int, int]]:
    """Return the pixels that stand out, but for lobes of dipoles; none is found yet."""
    height, width = image.shape
    least = np.float32((_TAIL * sigma) ** 2)
    heads = [(0, 0) for _ in range(0)]
    for y in range(height):
        for start in range(0, width, _RUN):
            run = image[y, start : start + _RUN]
            noise = variance[y, start : start + _RUN]
            n_bright = 0
            for k in range(len(run)):
                n_bright += run[k] * run[k] > least * noise[k]
            for x in range(start, start + len(run) if n_bright else start):
                if not image[y, x] * image[y, x] > least * variance[y, x]:
                    continue
                if not _is_known(image, variance, mask, exclude, y, x):
                    continue
                if not _stands_out(
                    image, variance, mask, exclude, steepest, sigma, found, y, x
                ):
                    continue
                if not _is_beside_other_lobe(image, variance, mask, exclude, y, x):
                    heads.append((y, x))
    return heads


@compiled
def _mark_tails(
    image: NDArray[np.float32],
    variance: NDArray[np.float32],
    mask: NDArray[np.int32],
    exclude: np.int32,
    steepest: NDArray[np.float32],
    sigma: float,
    heads: NDArray[np.int64],
    found: NDArray[np.bool_],
) -> None:
    """Mark pixels, and in steps those that touch them and stand out of the others."""
    lower = _TAIL * sigma
    least = np.float32(lower**2)
    new = [(heads[i, 0], heads[i, 1]) for i in range(len(heads))]
    for y, x in new:
        found[y, x] = True
    for _ in range(_STEPS):
        tail = [(y, x) for y, x in new[:0]]
        for y, x in new:
            for k in range(9):
                v, u = y + k // 3 - 1, x + k % 3 - 1
                if not _is_known(image, variance, mask, exclude, v, u) or found[v, u]:
                    continue
                if not image[v, u] * image[v, u] > least * variance[v, u]:
                    continue
                if _stands_out(
                    image, variance, mask, exclude, steepest, lower, found, v, u
                ):
                    tail.append((v, u))
        new.clear()
        for y, x in tail:
            if not found[y, x]:
                found[y, x] = True
                new.append((y, x))


@inlined
def _is_known(
    image: NDArray[np.float32],
    variance: NDArray[np.float32],
    mask: NDArray[np.int32],
    exclude: np.int32,
    y: int,
    x: int,
) -> bool:
    height, width = image.shape
    if y < 0 or y >= height or x < 0 or x >= width:
        return False
    noise, usable = variance[y, x], (mask[y, x] & exclude) == 0
    return bool(usable & np.isfinite(image[y, x]) & np.isfinite(noise) & (noise > 0))


@inlined
def _stands_out(
    image: NDArray[np.float32],
    variance: NDArray[np.float32],
    mask: NDArray[np.int32],
    exclude: np.int32,
    steepest: NDArray[np.float32],
    sigma: float,
    found: NDArray[np.bool_],
    y: int,
    x: int,
) -> bool:
    """Return whether a pixel falls off too fast; those found are no neighbours."""
    value, noise = image[y, x], variance[y, x]
    sign, height = np.sign(value), abs(value)
    least = height - np.float32(_BENEFIT) * np.sqrt(noise)
    result = False
    for i, (dy, dx) in enumerate(_ACROSS):
        total, spread, n = 0.0, 0.0, 0
        for side in (1, -1):
            v, u = y + side * dy, x + side * dx
            if _is_known(image, variance, mask, exclude, v, u) and not found[v, u]:
                total += sign * image[v, u]
                spread += variance[v, u]
                n += 1
        if n:
            mean, error = total / n, np.sqrt(spread) / n
            high = height - mean > sigma * np.sqrt(noise + error**2)
            result |= high and mean + _BENEFIT * error < steepest[i] * least
    return result


@inlined
def _is_beside_other_lobe(
    image: NDArray[np.float32],
    variance: NDArray[np.float32],
    mask: NDArray[np.int32],
    exclude: np.int32,
    y: int,
    x: int,
) -> bool:
    value, beside = image[y, x], False
    for v in range(y - 2, y + 3):
        for u in range(x - 2, x + 3):
            if _is_known(image, variance, mask, exclude, v, u):
                other = np.sign(value) * image[v, u]
                beside |= other < -_OTHER_LOBE * abs(value)
    return beside
