"""Lists of stars: peaks of the filtered image, measured by adaptive moments.

The filter sums to nothing, as that of DAOFIND (Stetson 1987, PASP 99, 191): light
that many faint stars share does not count. Peaks need no deblending, which fails
where the isophotes of a crowded field merge into one. Moments weighted by a
Gaussian that is adapted to the star: Bernstein & Jarvis 2002, AJ 123, 583.
"""

from dataclasses import dataclass, fields
from math import pi, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from streamdiff.imaging.finite_planes import finite_planes
from streamdiff.imaging.moments import Moments, adaptive_moments
from streamdiff.imaging.peak_filter import filter_for_peaks, find_peaks
from streamdiff.imaging.places import places
from streamdiff.model import UNUSABLE, Exposure, MaskPlane
from streamdiff.model.psf import FWHM_PER_SIGMA

# The filter: a narrow Gaussian minus the mean of a box. It sees about half of the
# significance of a star of 5 px FWHM.
_FILTER_SIGMA, _FILTER_REACH, _BOX, _PEAK_REACH = 1.2, 4, 15, 2
_FILTER_EFFICIENCY, _MIN_FILTERED = 0.5, 3.0
_FIRST_SIGMA, _FIRST_RADIUS, _FIRST_STARS = 2.0, 12, 200
_SAME_STAR, _BLEND_DISTANCE = 1.0, 2.0
_ITSELF = 1e-6
# Farther than this from where it was found, the moments took hold of a neighbour.
_MAX_DRIFT = 2.0
_SHAPE_RADIUS = 4.0
_MIN_RADIUS, _MAX_RADIUS = 4, 25


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stars:
    """Compact sources of one image, the brightest first.

    Attributes
    ----------
    x, y : ndarray of float64, shape (n,)
        Centroids [pixel].
    flux : ndarray of float64, shape (n,)
        Flux of the best-fitting Gaussian [units of the image]: a constant
        fraction, some 90 %, of the flux of a star.
    snr : ndarray of float64, shape (n,)
        Flux over its error.
    peak : ndarray of float64, shape (n,)
        Highest pixel value within 1 px of the centroid.
    fwhm : ndarray of float64, shape (n,)
        Full width of the Gaussian, the geometric mean of its axes [pixel].
    elongation : ndarray of float64, shape (n,)
        Major over minor axis, at least 1.
    blended : ndarray of bool, shape (n,)
        Whether another one is within 2 FWHM.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    flux: NDArray[np.float64]
    snr: NDArray[np.float64]
    peak: NDArray[np.float64]
    fwhm: NDArray[np.float64]
    elongation: NDArray[np.float64]
    blended: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.x)

    def take(self, rows: ArrayLike) -> "Stars":
        """Return the stars that an index or boolean array names, in its order."""
        rows = np.asarray(rows)
        return Stars(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


def find_stars(
    exposure: Exposure,
    *,
    threshold: float = 10.0,
    bad: MaskPlane = UNUSABLE,
    max_stars: int | None = None,
    keep_blended: bool = True,
) -> Stars:
    """Return the stars, and other compact sources, of an exposure.

    Parameters
    ----------
    exposure : Exposure
        Its sky is subtracted. It needs no PSF.
    threshold : float
        Smallest signal-to-noise ratio, positive.
    bad : MaskPlane
        Pixels of these planes count as without data; so do pixels whose image
        or variance is not finite, or whose variance is not positive.
    max_stars : int, optional
        Measure only so many detections, those of the highest peaks.
    keep_blended : bool
        Whether to return stars with a neighbour within 2 FWHM.

    Notes
    -----
    Stars whose central 3 x 3 px are not all usable are left out: cosmic rays and
    saturated stars are up to the mask, and to the caller's cuts on the shape.
    """
    image, variance, unusable = finite_planes(exposure, bad)
    x, y = _peaks(image, variance, unusable, threshold, max_stars)
    stars = _measured(image, variance, unusable, x, y)
    stars = _distinct(stars.take(np.flatnonzero(stars.snr >= threshold)))
    return stars if keep_blended else stars.take(~stars.blended)


def known_stars(
    exposure: Exposure, *, threshold: float = 10.0, bad: MaskPlane = UNUSABLE
) -> Stars:
    """Return the stars of an exposure's catalogue, measured on its image.

    Parameters
    ----------
    exposure : Exposure
        Without `Exposure.stars` it has none.
    threshold, bad
        See `find_stars`.

    Notes
    -----
    Stars that can not be measured are left out: those on pixels without data, and
    those where the image has no light, or none but that of a neighbour.
    """
    if exposure.stars is None or not len(exposure.stars):
        return _no_stars()
    stars = _measured(*finite_planes(exposure, bad), exposure.stars.x, exposure.stars.y)
    return _distinct(stars.take(np.flatnonzero(stars.snr >= threshold)))


def snr_at(
    exposure: Exposure, x: ArrayLike, y: ArrayLike, *, bad: MaskPlane = UNUSABLE
) -> NDArray[np.float64]:
    """Return the signal-to-noise ratios of the stars at positions; shape (n,).

    Parameters
    ----------
    exposure : Exposure
    x, y : array_like of float, shape (n,)
        Within the image [pixel], the brightest stars first.
    bad : MaskPlane
        See `find_stars`.
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    if not x.size:
        return np.zeros(0)
    return _moments(*finite_planes(exposure, bad), x, y).snr


def _measured(
    image: NDArray[np.float32],
    variance: NDArray[np.float32],
    unusable: NDArray[np.bool_],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
) -> Stars:
    """Return the stars near positions, the first of which are bright."""
    if not len(x):
        return _no_stars()
    stars = _stars(_moments(image, variance, unusable, x, y), image)
    drift = np.hypot(stars.x - x, stars.y - y)
    good = (drift <= _MAX_DRIFT) & ~_core_touches(unusable, stars.x, stars.y)
    return stars.take(np.flatnonzero(good))


def _moments(
    image: NDArray[np.float32],
    variance: NDArray[np.float32],
    unusable: NDArray[np.bool_],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
) -> Moments:
    """Return moments that start from the typical width of the first, bright stars."""
    first = adaptive_moments(
        image,
        variance,
        unusable,
        x[:_FIRST_STARS],
        y[:_FIRST_STARS],
        sigma=_FIRST_SIGMA,
        radius=_FIRST_RADIUS,
    )
    sigma = float(np.median((first.xx * first.yy - first.xy**2) ** 0.25))
    radius = int(np.clip(np.ceil(_SHAPE_RADIUS * sigma), _MIN_RADIUS, _MAX_RADIUS))
    return adaptive_moments(image, variance, unusable, x, y, sigma=sigma, radius=radius)


def nearest_neighbour_distance(
    x: ArrayLike, y: ArrayLike, others_x: ArrayLike, others_y: ArrayLike
) -> NDArray[np.float64]:
    """Return the distance [pixel] from each position to the nearest other one.

    Parameters
    ----------
    x, y : array_like of float, shape (n,)
    others_x, others_y : array_like of float, shape (m,)
        Possible neighbours; one at a position itself is that very star.

    Returns
    -------
    ndarray of float64, shape (n,)
        Infinite where there is no neighbour.
    """
    positions = np.column_stack([np.asarray(x, float), np.asarray(y, float)])
    others = np.column_stack([np.asarray(others_x, float), np.asarray(others_y, float)])
    if not (len(positions) and len(others)):
        return np.full(len(positions), np.inf)
    # With itself out of the way, the second nearest is the nearest neighbour.
    distances = cKDTree(others).query(positions, k=2)[0]
    nearest: NDArray[np.float64] = np.where(
        distances[:, 0] > _ITSELF, distances[:, 0], distances[:, 1]
    )
    return nearest


def _peaks(
    image: NDArray[np.float32],
    variance: NDArray[np.float32],
    unusable: NDArray[np.bool_],
    threshold: float,
    max_stars: int | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return columns and rows of the peaks of the filtered image, highest first."""
    steps = np.arange(-_FILTER_REACH, _FILTER_REACH + 1)
    weights = np.exp(-np.square(steps / _FILTER_SIGMA) / 2)
    filtered = filter_for_peaks(image, (weights / weights.sum()).astype("f4"), _BOX)
    # A Gaussian of width sigma has a noise-equivalent area of 4 pi sigma^2.
    lowest = max(_FILTER_EFFICIENCY * threshold, _MIN_FILTERED)
    lowest /= sqrt(4 * pi) * _FILTER_SIGMA
    is_peak = find_peaks(filtered, variance, unusable, lowest, _PEAK_REACH)
    rows, columns = places(is_peak)
    order = np.argsort(-filtered[rows, columns], kind="stable")[:max_stars]
    return columns[order].astype(float), rows[order].astype(float)


def _stars(moments: Moments, image: NDArray[np.float32]) -> Stars:
    half_trace = (moments.xx + moments.yy) / 2
    spread = np.hypot((moments.xx - moments.yy) / 2, moments.xy)
    major, minor = half_trace + spread, half_trace - spread
    fwhm = FWHM_PER_SIGMA * (major * minor) ** 0.25
    x, y = moments.x, moments.y
    return Stars(
        x=x,
        y=y,
        flux=moments.flux,
        snr=moments.snr,
        peak=_highest_of_core(image, x, y),
        fwhm=fwhm,
        elongation=np.sqrt(major / minor),
        blended=nearest_neighbour_distance(x, y, x, y) < _BLEND_DISTANCE * fwhm,
    )


def _core(
    shape: tuple[int, ...], x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows and columns of the 3 x 3 px around positions, clipped."""
    dy, dx = (d.reshape(-1, 1) for d in np.mgrid[-1:2, -1:2])
    rows = np.clip(np.floor(y + 0.5).astype(np.intp) + dy, 0, shape[0] - 1)
    columns = np.clip(np.floor(x + 0.5).astype(np.intp) + dx, 0, shape[1] - 1)
    return rows, columns


def _highest_of_core(
    image: NDArray[np.float32], x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.asarray(image[_core(image.shape, x, y)].max(axis=0), float)


def _core_touches(
    mask: NDArray[np.bool_], x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.bool_]:
    return np.asarray(mask[_core(mask.shape, x, y)].any(axis=0))


def _distinct(stars: Stars) -> Stars:
    """Return each star once, the brightest first."""
    ordered = stars.take(np.lexsort((stars.x, stars.y, -stars.flux)))
    return ordered.take(_first_of_each(ordered))


def _first_of_each(stars: Stars) -> NDArray[np.bool_]:
    """Return False for detections that ended up on a brighter star."""
    first = np.ones(len(stars), bool)
    if len(stars):
        tree = cKDTree(np.column_stack([stars.x, stars.y]))
        first[[max(pair) for pair in tree.query_pairs(_SAME_STAR)]] = False
    return first


def _no_stars() -> Stars:
    empty = {f.name: np.zeros(0) for f in fields(Stars) if f.name != "blended"}
    return Stars(**empty, blended=np.zeros(0, bool))
