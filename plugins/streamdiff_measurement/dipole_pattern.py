"""Where a difference looks like the slope of its PSF, and how much like it.

A star that moved by s leaves ``F (P(x - s/2) - P(x + s/2))``, which is the moment
``F s`` times the slope of the PSF as long as s is below two sigma of the PSF. It
does not tell F from s, but what it says is independent of all that is constant
on both images: neighbours, hosts, the sky.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from streamdiff.imaging.shifted_stamps import shifted_with_derivatives
from streamdiff.imaging.stamps import Stamps
from streamdiff_measurement.least_squares import Solution, solve

# From the nearest pixel, steps converge to a hundredth of one.
_STEPS, _MAX_STEP = 4, 0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidates:
    """The slope that fits best near a position; n of each.

    Attributes
    ----------
    centre : ndarray of float64, shape (n, 2)
        Column and row of the middle of the pattern, from that of the stamp.
    pattern, point : ndarray of float64, shape (n,)
        Sum of squares that the best slope, and the best point source, explain.
    """

    centre: NDArray[np.float64]
    pattern: NDArray[np.float64]
    point: NDArray[np.float64]

    @classmethod
    def join(cls, parts: Iterable["Candidates"]) -> "Candidates":
        """Return all of several."""
        none = cls(centre=np.zeros((0, 2)), pattern=np.zeros(0), point=np.zeros(0))
        every = [none, *parts]
        return cls(
            **{n: np.concatenate([getattr(p, n) for p in every]) for n in cls.__slots__}
        )

    def take(self, rows: NDArray[np.intp] | slice) -> "Candidates":
        """Return some of them."""
        return Candidates(**{n: getattr(self, n)[rows] for n in self.__slots__})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Patterns:
    """Fitted slopes, each with a point source at its middle; n of each.

    Attributes
    ----------
    centre : ndarray of float64, shape (n, 2)
        As that of `Candidates`, to a fraction of a pixel.
    moment : ndarray of float64, shape (n, 2)
        Flux times displacement along x and y [flux * pixel].
    snr : ndarray of float64, shape (n,)
        Significance of the slope.
    net, net_error : ndarray of float64, shape (n,)
        Flux of the point source, in units of the one that has as much power as
        the slope; 0 for a star whose flux is constant.
    explained : ndarray of float64, shape (n,)
        Sum of squares that both explain.
    """

    centre: NDArray[np.float64]
    moment: NDArray[np.float64]
    snr: NDArray[np.float64]
    net: NDArray[np.float64]
    net_error: NDArray[np.float64]
    explained: NDArray[np.float64]

    def take(self, rows: NDArray[np.intp]) -> "Patterns":
        """Return some of them."""
        return Patterns(**{n: getattr(self, n)[rows] for n in self.__slots__})


def find_patterns(stamps: Stamps, psf: NDArray[np.float64], search: int) -> Candidates:
    """Return the best slopes whose middles are on pixels near those of stamps.

    Parameters
    ----------
    stamps : Stamps
        n of the difference, k pixels square.
    psf : ndarray of float64, shape (n, k, k) or (1, k, k)
    search : int
        Farthest middle [pixel].
    """
    templates = shifted_with_derivatives(psf, np.zeros((1, 2)), order=1)
    flat = templates.reshape(*templates.shape[:2], -1)
    gram = flat @ flat.swapaxes(1, 2)
    match = _correlated(stamps.image, templates, search)
    point = match[:, 0] ** 2 / gram[:, :1, 0]
    slopes = match[:, 1:]
    pattern = np.einsum(
        "nip,nij,njp->np", slopes, np.linalg.inv(gram[:, 1:, 1:]), slopes
    )

    y, x = np.mgrid[-search : search + 1, -search : search + 1].reshape(2, -1)
    outside = np.hypot(x, y) > search
    pattern[:, outside] = point[:, outside] = 0
    best = pattern.argmax(axis=1)
    return Candidates(
        centre=np.stack([x[best], y[best]], axis=1).astype(float),
        pattern=pattern.max(axis=1),
        point=point.max(axis=1),
    )


def fit_patterns(
    stamps: Stamps, psf: NDArray[np.float64], centre: NDArray[np.float64]
) -> Patterns:
    """Return slopes and point sources fitted together, their middle free.

    Parameters
    ----------
    stamps : Stamps
        n of the difference, k pixels square.
    psf : ndarray of float64, shape (n, k, k) or (1, k, k)
    centre : ndarray of float64, shape (n, 2)
        Where to start.
    """
    start = centre
    for _ in range(_STEPS):
        terms = shifted_with_derivatives(psf, centre, order=2)
        terms *= stamps.usable[:, np.newaxis]
        moment = _linear(stamps, terms[:, :3]).coefficients[:, 1:]
        mx, my = moment.T[:, :, np.newaxis, np.newaxis]
        xx, xy, yy = terms[:, 3:].swapaxes(0, 1)
        terms[:, 3], terms[:, 4] = mx * xx + my * xy, mx * xy + my * yy
        fit = _linear(stamps, terms[:, :5])
        step = np.nan_to_num(fit.coefficients[:, 3:])
        centre = np.clip(
            centre + np.clip(step, -_MAX_STEP, _MAX_STEP), start - 1.5, start + 1.5
        )
    return _patterns(stamps, centre, fit, terms[:, :3])


def _patterns(
    stamps: Stamps,
    centre: NDArray[np.float64],
    fit: Solution,
    terms: NDArray[np.float64],
) -> Patterns:
    net, moment = fit.coefficients[:, 0], fit.coefficients[:, 1:3]
    slope = np.einsum("ni,niyx->nyx", moment, terms[:, 1:])
    of_point, of_slope = (
        np.sqrt(np.sum(term**2, axis=(1, 2))) for term in (terms[:, 0], slope)
    )
    ratio = np.divide(
        of_point, of_slope, out=np.zeros_like(of_slope), where=of_slope > 0
    )
    inverse = np.linalg.pinv(np.nan_to_num(fit.covariance[:, 1:3, 1:3]))
    snr = np.sqrt(np.einsum("ni,nij,nj->n", moment, inverse, moment))
    return Patterns(
        centre=centre,
        moment=moment,
        snr=np.nan_to_num(snr),
        net=net * ratio,
        net_error=np.sqrt(fit.covariance[:, 0, 0]) * ratio,
        explained=np.sum(stamps.image**2, axis=(1, 2)) - fit.residual,
    )


def _linear(stamps: Stamps, terms: NDArray[np.float64]) -> Solution:
    """Return the fits of terms, which are 0 where pixels are not usable."""
    n, p, ky, kx = terms.shape
    m = ky * kx
    variance = stamps.variance * stamps.covariance_factor[:, None, None]
    return solve(
        terms.reshape(n, p, m), stamps.image.reshape(n, m), variance.reshape(n, m)
    )


def _correlated(
    image: NDArray[np.float64], templates: NDArray[np.float64], search: int
) -> NDArray[np.float64]:
    """Return sums of stamps times shifted templates, shape (n, 3, n_shifts)."""
    side = image.shape[-1]
    size = scipy.fft.next_fast_len(side + search, real=True)
    shape = (size, size)
    # It tells where to begin: single precision is enough.
    of_image, of_templates = (
        scipy.fft.rfft2(stamps.astype(np.float32), shape)
        for stamps in (image, templates)
    )
    product = of_image[:, np.newaxis] * np.conj(of_templates)
    near = np.arange(-search, search + 1)
    found = scipy.fft.irfft2(product, shape)[..., near[:, np.newaxis], near]
    return np.asarray(found.reshape(*found.shape[:2], -1), float)
