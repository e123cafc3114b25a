"""What a significance map varies more than the variance plane accounts for.

On real images, flat fields, fringes and resampling leave more noise in the sky than
photons do, and the PSFs of bright stars are never matched to their photon noise. Both
are measured on the map itself: its spread where there are no stars, and the part of
the flux of stars that is left on them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize

from streamdiff.imaging.noise import robust_std

# Stars brighter than this tell the error of the match, pixels below show sky.
_STAR, _SKY = 200.0, 5.0
_EMPTIEST = 0.25
_MIN_STARS, _MIN_PIXELS, _MAX_PIXELS = 10, 1000, 100_000
_PROBABILITY, _QUANTILE = 0.9, 1.645
# A difference of which so much is left is none.
_LARGEST = 10.0
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
    fraction : float
        Standard deviation of what is left of stars, as a fraction of their flux.
    """

    spread: float = 1.0
    fraction: float = 0.0

    def calibrated(
        self, score: NDArray[np.float32], stars: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return a map whose standard deviation is 1 everywhere.

        Parameters
        ----------
        score, stars : ndarray of float32, shape (ny, nx)
            Significance of the difference, and of the stars around each pixel.
        """
        noise = np.sqrt(self.spread**2 + (self.fraction * stars) ** 2)
        return np.asarray(score / noise, np.float32)


def stars_around(
    template_score: NDArray[np.float32], width: float
) -> NDArray[np.float32]:
    """Return the highest significance within a width [pixel] of each pixel, >= 0."""
    reach = 2 * int(np.ceil(width)) + 1
    highest = ndimage.maximum_filter(template_score, reach)
    return np.asarray(np.maximum(highest, np.float32(0)), np.float32)


def measure_excess(
    score: NDArray[np.float32],
    stars: NDArray[np.float32],
    usable: NDArray[np.bool_],
    *,
    trusted: bool = True,
) -> ExcessNoise:
    """Return the excess noise of a map; none where it can not be measured.

    Parameters
    ----------
    score, stars : ndarray of float32, shape (ny, nx)
    usable : ndarray of bool, shape (ny, nx)
    trusted : bool
        Whether the variance accounts for the noise of the sky at the least, and
        a spread near 1 is taken for 1.
    """
    if np.count_nonzero(usable) < _MIN_PIXELS:
        return ExcessNoise()
    # Crowded fields have no blank sky: the emptiest part of them is to do.
    sky = usable & (stars <= max(_SKY, float(np.quantile(stars[usable], _EMPTIEST))))
    spread = robust_std(score[sky & ~_on_sources(score, sky)])
    if not spread > (_SIGNIFICANT_SPREAD if trusted else 0):
        spread = 1.0
    on_star = usable & (stars >= _STAR)
    _, n_stars = ndimage.label(on_star)
    if n_stars < _MIN_STARS:
        return ExcessNoise(spread=spread)
    step = -(-np.count_nonzero(on_star) // _MAX_PIXELS)
    left, light = (np.abs(v[on_star][::step]).astype(float) for v in (score, stars))
    return ExcessNoise(spread=spread, fraction=_fraction(left, light, spread))


def _on_sources(
    score: NDArray[np.float32], sky: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return True on and around what stands out of the sky of a difference."""
    found = np.abs(score) > _SOURCE * robust_std(score[sky])
    around: NDArray[np.bool_] = ndimage.maximum_filter(found, _AROUND)
    return around


def _fraction(
    left: NDArray[np.float64], light: NDArray[np.float64], spread: float
) -> float:
    """Return the fraction of the light that makes usual what is left of it.

    Usual is that 90 % are within 1.645 sigma. Mismatch has long tails: a median
    would tell of the smooth parts of the residuals, not of their crests.
    """

    def unusual(fraction: float) -> float:
        noise = np.hypot(spread, fraction * light)
        return float(np.quantile(left / noise, _PROBABILITY)) - _QUANTILE

    if unusual(0) <= (_SIGNIFICANT_SPREAD - 1) * _QUANTILE:
        return 0.0
    return float(optimize.brentq(unusual, 0, _LARGEST, xtol=1e-6))
