"""What a significance map varies more than the variance plane accounts for.

On real images, flat fields, fringes and resampling leave more noise in the sky than
photons do, and the PSFs of bright stars are never matched to their photon noise, nor
their positions. All are measured on the map itself: its spread where there are no
stars, by how much stars are off their places, and the part of their flux that is left
on them.
"""

from dataclasses import dataclass, replace
from math import isqrt

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from streamdiff.imaging.compiled import compiled, inlined
from streamdiff.imaging.islands import Islands
from streamdiff.imaging.noise import quantile, robust_std
from streamdiff.imaging.places import Places, places_beyond, surroundings
from streamdiff.model.planes import read_only
from streamdiff_detection.starlight import Pixels, Starlight, raise_to

# Stars brighter than this tell the error of the match, pixels below show sky.
_STAR, _SKY = 200.0, 5.0
_EMPTIEST = 0.25
_MAX_VALUES = 1_000_000
_MIN_STARS, _MIN_PIXELS, _MAX_PIXELS = 10, 1000, 100_000
_PROBABILITY, _QUANTILE = 0.9, 1.645
# So few stars tell by how much stars are off: one of them may have moved.
_MIN_PLACES = 5
# A difference of which so much is left is none; nor are stars so far off the same.
_LARGEST, _FARTHEST = 10.0, 3.0
# What stands out so much [sigma] is no sky, nor are the pixels around it.
_SOURCE, _AROUND = 3.5, 9
# Less is within the errors of what is measured, and of the variance plane.
_SIGNIFICANT_SPREAD = 1.05


@dataclass(frozen=True, slots=True, kw_only=True)
class ExcessNoise:
    """Noise of a significance map.

    Attributes
    ----------
    spread : float
        Standard deviation in blank sky, 1 if the variance is right.
    shift : float
        Standard deviation of the positions of stars, along each axis [pixel].
    fraction : float
        Standard deviation of what else is left of stars, as a fraction of their
        flux.
    """

    spread: float = 1.0
    shift: float = 0.0
    fraction: float = 0.0

    def calibrated(
        self, score: NDArray[np.float32], stars: Starlight
    ) -> NDArray[np.float32]:
        """Return a map whose standard deviation is 1 everywhere; shape (ny, nx).

        Parameters
        ----------
        score : ndarray of float32, shape (ny, nx)
            Significance of the difference.
        stars : Starlight
            The map is made in place of their score, which is needed no more.
        """
        _divide(read_only(score), stars.score, stars.reach, self._squares)
        return stars.score

    def noise_at(self, stars: Starlight, here: Places) -> NDArray[np.float32]:
        """Return the standard deviation of the map at pixels; shape (n,)."""
        noise = np.empty(len(here[0]), np.float32)
        light, around = read_only(stars.score), stars.around_at(here)
        _fill_noise(*here, light, around, self._squares, noise)
        return noise

    @property
    def _squares(self) -> NDArray[np.float32]:
        return np.square(np.array([self.spread, self.shift, self.fraction], np.float32))


@inlined
def _variance(
    rows: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]],
    per_row: np.float32,
    x: int,
    around: np.float32,
    squares: NDArray[np.float32],
) -> np.float32:
    """Return the variance of a pixel from the light of its row and those beside it.

    A shift changes a score by its slope: the astrometric noise of Zackay, Ofek &
    Gal-Yam 2016, ApJ 830, 27, for errors that are alike along both axes. Slopes are
    one-sided at the border.
    """
    (above, row, below), (spread, shift, fraction) = rows, squares
    left, right = max(x - 1, 0), min(x + 1, len(row) - 1)
    down, along = below[x] - above[x], row[right] - row[left]
    slope = per_row * down**2 + (along / np.float32(max(right - left, 1))) ** 2
    return np.float32(spread + fraction * around**2 + shift * slope)


@compiled
def _fill_noise(
    row: NDArray[np.int64],
    column: NDArray[np.int64],
    light: NDArray[np.float32],
    around: NDArray[np.float32],
    squares: NDArray[np.float32],
    noise: NDArray[np.float32],
) -> None:
    for i in range(len(row)):
        first, last = max(row[i] - 1, 0), min(row[i] + 1, light.shape[0] - 1)
        rows = light[first], light[row[i]], light[last]
        per_row = np.float32(1 / max(last - first, 1) ** 2)
        noise[i] = np.sqrt(_variance(rows, per_row, column[i], around[i], squares))


@compiled
def _divide(
    score: NDArray[np.float32],
    light: NDArray[np.float32],
    reach: int,
    squares: NDArray[np.float32],
) -> None:
    """Divide a map by its noise, in place of the light of stars."""
    height, width = score.shape
    spread, shift, fraction = squares[0], squares[1], squares[2]
    quarter, n = np.float32(0.25), max(reach, 1) + 1
    # Rows of the light that are written over, as far as they are needed.
    kept = np.empty((n, width), np.float32)
    line, spare = np.empty((2, width + 2 * reach), np.float32)
    variance = np.empty(width, np.float32)
    for y in range(height):
        kept[y % n] = light[y]
        line[:] = 0
        for v in range(max(y - reach, 0), y + 1):
            raise_to(line[reach : reach + width], kept[v % n])
        for v in range(y + 1, min(y + reach + 1, height)):
            raise_to(line[reach : reach + width], light[v])
        side = 1
        while side <= 2 * reach:  # see `Starlight.around`
            more = min(side, 2 * reach + 1 - side)
            ahead = line[more:]
            for x in range(len(ahead)):
                spare[x] = max(line[x], ahead[x])
            line, spare, side = spare, line, side + more
        first, last = max(y - 1, 0), min(y + 1, height - 1)
        above, row, below = kept[first % n], kept[y % n], light[last]
        per_row = np.float32(1 / max(last - first, 1) ** 2)
        # Border columns apart, so that the loop has no choices to make.
        for x in range(1, width - 1):
            down, along = below[x] - above[x], row[x + 1] - row[x - 1]
            slope = per_row * down * down + quarter * along * along
            variance[x] = spread + fraction * line[x] ** 2 + shift * slope
        for x in range(0, width, max(width - 1, 1)):
            rows = above, row, below
            variance[x] = _variance(rows, per_row, x, line[x], squares)
        target, values = light[y], score[y]
        for x in range(width):
            target[x] = values[x] / np.sqrt(variance[x])


def measure_excess(
    score: NDArray[np.float32],
    stars: Starlight,
    usable: Pixels,
    *,
    trusted: bool = True,
    settled: bool = False,
) -> ExcessNoise:
    """Return the excess noise of a map; none where it can not be measured.

    Parameters
    ----------
    score : ndarray of float32, shape (ny, nx)
    stars : Starlight
    usable : ndarray of bool, shape (ny, nx), or what is indexed as one
    trusted : bool
        Whether the variance accounts for the noise of the sky at the least, and
        a spread near 1 is taken for 1.
    settled : bool
        Whether the map accounts for the positions of stars already.
    """
    # Neighbours know the same noise: of a large map, some pixels tell it.
    step = max(isqrt(score.size // _MAX_VALUES), 1)
    some = usable[::step, ::step]
    if np.count_nonzero(some) < _MIN_PIXELS:
        return ExcessNoise()
    spread = _spread(score, stars, some, step)
    if not spread > (_SIGNIFICANT_SPREAD if trusted else 0):
        spread = 1.0
    shift = 0.0 if settled else _shift(score, stars, usable, spread)
    excess = ExcessNoise(spread=spread, shift=shift)
    row, column = stars.bright(_STAR)
    known = usable[row, column]
    light = Islands.of((row[known], column[known]), corners=False)
    if light.count < _MIN_STARS:
        return excess
    return replace(excess, fraction=_fraction(score, excess, stars, light))


def _spread(
    score: NDArray[np.float32],
    stars: Starlight,
    usable: NDArray[np.bool_],
    step: int,
) -> float:
    """Return the spread where there are no stars, of every ``step``-th row and column.

    Only ``usable`` pixels of these count.
    """
    values, around = score[::step, ::step], stars.around(step)
    # Crowded fields have no blank sky: the emptiest part of them is to do.
    emptiest = quantile(around[usable], _EMPTIEST)
    sky = usable & (around <= max(_SKY, emptiest))
    highest = _SOURCE * robust_std(values[sky])
    bright = places_beyond(score, highest)
    beside = surroundings(bright, _AROUND // 2, score.shape, step=step)
    return robust_std(values[sky & ~beside])


def _shift(
    score: NDArray[np.float32],
    stars: Starlight,
    usable: Pixels,
    spread: float,
) -> float:
    """Return by how much positions of stars scatter beyond their errors [pixel].

    One star in ten may be off by any amount, and in a handful, one.
    """
    offset, error = stars.offsets(score, usable)
    if len(offset) < 2 * _MIN_PLACES:
        return 0.0
    largest = _usual(offset, error * spread, np.ones_like(offset), _FARTHEST)
    return largest if largest < _FARTHEST else 0.0


def _fraction(
    score: NDArray[np.float32],
    excess: ExcessNoise,
    stars: Starlight,
    where: Islands,
) -> float:
    """Return the fraction of the light that makes usual what is left of it."""
    step = -(-len(where) // _MAX_PIXELS)
    row, column = where.row[::step], where.column[::step]
    # As compiled functions know them from the warm-up.
    here = np.ascontiguousarray(row), np.ascontiguousarray(column)
    size, noise, light = (
        v.astype(float)
        for v in (
            np.abs(score[here]),
            excess.noise_at(stars, here),
            stars.around_at(here),
        )
    )
    return _usual(size, noise, light, _LARGEST)


def _usual(
    size: NDArray[np.float64],
    noise: NDArray[np.float64],
    unit: NDArray[np.float64],
    most: float,
) -> float:
    """Return how many units must be added to the noise that sizes are usual.

    Usual is that 90 % are within 1.645 sigma. Mismatch has long tails: a median
    would tell of the smooth parts of the residuals, not of their crests.
    """

    def unusual(amount: float) -> float:
        pulls = np.abs(size) / np.hypot(noise, amount * unit)
        return float(np.quantile(pulls, _PROBABILITY, method="lower")) - _QUANTILE

    tolerance = max(_SIGNIFICANT_SPREAD - 1, 1 / np.sqrt(len(size)))
    if unusual(0) <= tolerance * _QUANTILE:
        return 0.0
    if unusual(most) > 0:
        return most
    return float(optimize.brentq(unusual, 0, most, xtol=1e-6))
