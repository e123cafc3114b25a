"""How far a variance plane is from the scatter of its image in blank sky.

The sky of a crowded field is made of stars: its scatter is no noise, but its
distribution is lopsided, for stars only add. There the noise is told by what
differences of neighbouring pixels leave of an image without structure, by the mask
of Immerkaer 1996, CVIU 64, 300. They miss the noise that resampling made common to
neighbours, and so tell the least that it can be.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from streamdiff.errors import VarianceScaleError
from streamdiff.imaging.background import blank_pixels, sky_background
from streamdiff.imaging.noise import quantile, robust_std, typical_variance
from streamdiff.model import UNUSABLE, Exposure

# With fewer pixels the scatter itself is not known.
_MIN_PIXELS = 100
# Tiles of a large image: 16 of them know the variance to 0.2 %.
_TILE, _MAX_TILES = 256, 4
# Side of the boxes of a rough background [pixel].
_BOX = 32
# The halves of a Gaussian agree to 2 / sqrt(n); stars widen the upper one.
_LOPSIDED, _HALVES_ERROR, _ERRORS = 0.02, 2.0, 4.0
_TAIL = 0.15865
_SECOND_DIFFERENCE = np.array([1.0, -2.0, 1.0]) / sqrt(6)


def variance_scale(exposure: Exposure, *, limit: float = 10.0) -> float:
    """Return the factor that the variance plane is to be multiplied by.

    It is the square of the robust standard deviation, in blank sky, of the image
    over its sigma, pixel by pixel; where this is out of proportion, of the image
    over its typical sigma.

    Parameters
    ----------
    exposure : Exposure
        Its sky may have a slope.
    limit : float
        Factors above it, and below its inverse, are out of proportion; above 1.

    Returns
    -------
    float
        1 where fewer than 100 pixels show blank sky, or these do not scatter.

    Raises
    ------
    VarianceScaleError
        If both ways give a factor out of proportion.

    Notes
    -----
    In a crowded field the factor is the one nearest to 1 of those that the image
    does not rule out: from the scatter of what differences of pixels leave, to
    that of the sky with its unresolved stars.
    """
    tiles = list(_tiles(exposure))
    if sum(tile.blank.sum() for tile in tiles) < _MIN_PIXELS:
        return 1.0
    factor = _factor([_over(t.residual, np.sqrt(t.variance)) for t in tiles], tiles)
    if _is_proportionate(factor, limit):
        return factor
    sigma = sqrt(_typical_variance(tiles))
    from_image = _factor([_over(t.residual, sigma) for t in tiles], tiles)
    if _is_proportionate(from_image, limit):
        return from_image
    raise VarianceScaleError(
        f"{exposure.id}: the scatter of blank sky is that of {factor:.3g} times the "
        f"variance plane ({from_image:.3g} times its typical value), the limit is "
        f"{limit:g}: correct the plane, or see [pipeline] max_variance_scale"
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Tile:
    """A part of an image; planes are finite, and float32 but for ``blank``."""

    residual: NDArray[np.float32]
    variance: NDArray[np.float32]
    blank: NDArray[np.bool_]


def _tiles(exposure: Exposure) -> Iterator[_Tile]:
    """Yield evenly spaced parts of an image, their sky subtracted."""
    height, width = exposure.shape
    for top in _starts(height):
        for left in _starts(width):
            part = np.s_[top : top + _TILE, left : left + _TILE]
            image, variance = exposure.image[part], exposure.variance[part]
            unusable = UNUSABLE.in_mask(exposure.mask[part]) | ~np.isfinite(image)
            unusable |= ~(np.isfinite(variance) & (variance > 0))
            image = np.where(unusable, np.float32(0), image)
            residual = image - sky_background(image, unusable, box=_BOX)
            yield _Tile(
                residual=residual,
                variance=np.where(unusable, np.float32(1), variance),
                blank=blank_pixels(residual, unusable),
            )


def _starts(length: int) -> list[int]:
    """Return where tiles begin along an axis; together they cover a short one."""
    n = min(-(-length // _TILE), _MAX_TILES)
    if n * _TILE >= length:
        return list(range(0, length, _TILE))
    return [round(start) for start in np.linspace(0, length - _TILE, n)]


def _typical_variance(tiles: list[_Tile]) -> float:
    values = np.concatenate([tile.variance[tile.blank] for tile in tiles])
    return typical_variance(values, np.ones(values.shape, bool))


def _over(
    residual: NDArray[np.float32], sigma: NDArray[np.float32] | float
) -> NDArray[np.float32]:
    return np.asarray(residual / sigma, np.float32)


def _factor(pulls: list[NDArray[np.float32]], tiles: list[_Tile]) -> float:
    """Return the variance of blank pixels [sigma]; 1 if they are all the same."""
    blank = np.concatenate([p[t.blank] for p, t in zip(pulls, tiles, strict=True)])
    factor = robust_std(blank) ** 2
    if _is_lopsided(blank):
        rough = [_roughness(p, t.blank) for p, t in zip(pulls, tiles, strict=True)]
        least = robust_std(np.concatenate(rough)) ** 2
        factor = float(np.clip(1.0, min(least, factor), factor))
    return factor if factor > 0 else 1.0


def _is_lopsided(values: NDArray[np.float32]) -> bool:
    low, middle, high = (quantile(values, q) for q in (_TAIL, 0.5, 1 - _TAIL))
    by_chance = _ERRORS * _HALVES_ERROR / sqrt(values.size)
    return bool(high - middle > (middle - low) * (1 + max(_LOPSIDED, by_chance)))


def _roughness(
    pulls: NDArray[np.float32], blank: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return second differences along both axes, of unit variance for white noise."""
    rough = ndimage.convolve1d(pulls, _SECOND_DIFFERENCE, axis=0)
    rough = ndimage.convolve1d(rough, _SECOND_DIFFERENCE, axis=1)
    all_blank = ndimage.minimum_filter(blank, 3)
    values: NDArray[np.float32] = rough[all_blank]
    return values


def _is_proportionate(factor: float, limit: float) -> bool:
    return 1 / limit <= factor <= limit
