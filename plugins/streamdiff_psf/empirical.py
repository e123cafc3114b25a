"""The PSF that an exposure's own stars show, also where they are crowded."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le
from numpy.typing import NDArray

from streamdiff.errors import InvalidExposureError
from streamdiff.imaging.finite_planes import finite_planes
from streamdiff.imaging.noise import SIGMA_PER_MAD, robust_std
from streamdiff.imaging.stars import Stars, find_stars, nearest_neighbour_distance
from streamdiff.model import UNUSABLE, ConstantPsf, Exposure, MaskPlane, PolynomialPsf
from streamdiff_psf.profile import regularised
from streamdiff_psf.selection import select_stars, stellar_width
from streamdiff_psf.sources import Fit, Pixels, Sources, fit_sources, local_level
from streamdiff_psf.stamps import Stamps, cut_out, fraction, shift_pixels, touches
from streamdiff_psf.variation import fit_variation

_PASSES = 3
# Its inverse is finite.
_LEAST_VARIANCE = np.float32(np.finfo(np.float32).tiny)
_MIN_SIDE, _MAX_SIDE, _SIDE_IN_FWHM = 15, 61, 6.0
_NEIGHBOUR_SNR = 5.0
# Relative error of the model of a star, whatever its signal-to-noise ratio.
_MODEL_ERROR = 0.001
_CLIP = 4.0
# Neighbours are subtracted as far as the ring that tells the level, and beyond.
_REACH = 5.5
_CLIP_ROUNDS = 3
# Unseen neighbours make stars wider: what fits worse than most is left out.
_MAX_MISFIT = 1.5
# A star that lost more than this to its neighbours is none.
_FADED = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class EmpiricalPsf:
    """Stacks the cleanest stars, each freed of its neighbours.

    Attributes
    ----------
    threshold : float
        Smallest signal-to-noise ratio of a star that makes the PSF.
    min_stars : int
        Fewer stars are an error.
    max_stars : int
        The best so many are used.
    max_order : int
        Largest order of the variation over the image; what the stars do not
        support is not fitted.
    side : int or None
        Odd side of the stamps [pixel]; `None` for six times the FWHM.
    """

    threshold: Annotated[float, Gt(0)] = 20.0
    min_stars: Annotated[int, Ge(1)] = 3
    max_stars: Annotated[int, Ge(1)] = 200
    max_order: Annotated[int, Ge(0), Le(3)] = 2
    side: Annotated[int, Ge(5)] | None = None

    def estimate(self, exposure: Exposure) -> ConstantPsf | PolynomialPsf:
        """Return the PSF of an exposure.

        Raises
        ------
        InvalidExposureError
            If it shows too few stars.

        Notes
        -----
        The stars of the stellar locus are stacked; the stack serves to fit and
        subtract all neighbours; the cleaned stars are stacked again, three times
        over. Then the stack is freed of noise and given its spatial variation.
        """
        found = find_stars(exposure, threshold=_NEIGHBOUR_SNR)
        half = self._half_side(exposure, found)
        usable = _away_from(exposure, found, half)
        chosen = select_stars(
            found,
            usable,
            min_snr=self.threshold,
            max_stars=self.max_stars,
            image_shape=exposure.shape,
        )
        if len(chosen) < self.min_stars:
            raise InvalidExposureError(
                f"{exposure.id}: found {len(chosen)} stars for the PSF above S/N "
                f"{self.threshold:g}, {self.min_stars} are needed: lower min_stars or "
                "threshold in [plugins.psf.empirical], or give the PSF in the "
                "extension PSF of the image, or in psf_uri"
            )
        return self._from_stars(exposure, found, chosen, half)

    def _half_side(self, exposure: Exposure, found: Stars) -> int:
        if self.side is not None:
            return self.side // 2
        bright = found.take(found.snr >= self.threshold)
        if not len(bright):
            return _MIN_SIDE // 2
        side = _SIDE_IN_FWHM * stellar_width(bright)
        largest = max(min(_MAX_SIDE, *exposure.shape), _MIN_SIDE)
        return int(np.clip(side, _MIN_SIDE, largest)) // 2

    def _from_stars(
        self, exposure: Exposure, found: Stars, chosen: NDArray[np.intp], half: int
    ) -> ConstantPsf | PolynomialPsf:
        pixels = _pixels(exposure)
        fwhm = stellar_width(found.take(chosen))
        sources, n_stars = _with_neighbours(found, chosen, _REACH * fwhm)
        weight = 1 / (found.snr[chosen] ** -2 + _MODEL_ERROR**2)

        stamps = _first_stamps(pixels, sources, n_stars, half)
        psf: ConstantPsf | PolynomialPsf
        psf = ConstantPsf(regularised(*_stack(stamps, weight), fwhm))
        for _ in range(_PASSES):
            fit = fit_sources(pixels, sources, psf, fwhm)
            sources = fit.sources
            stars = _CleanStars(
                stamps=_clean_stamps(pixels, fit, found.flux[chosen], half, fwhm),
                weight=weight,
                x=sources.x[:n_stars],
                y=sources.y[:n_stars],
            )
            psf = self._model(stars, fwhm, exposure.shape)
            psf = self._model(
                stars.take(stars.fitting(psf, self.min_stars)), fwhm, exposure.shape
            )
        return psf

    def _model(
        self, stars: "_CleanStars", fwhm: float, image_shape: tuple[int, int]
    ) -> PolynomialPsf:
        mean = regularised(*_stack(stars.stamps, stars.weight), fwhm)
        coefficients = fit_variation(
            mean,
            stars.stamps,
            stars.weight,
            stars.x,
            stars.y,
            fwhm=fwhm,
            max_order=self.max_order,
            image_shape=image_shape,
        )
        return PolynomialPsf(coefficients=coefficients, image_shape=image_shape)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _CleanStars:
    """Stars without neighbours, centred, of flux 1; with weights and positions."""

    stamps: Stamps
    weight: NDArray[np.float64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]

    def take(self, rows: NDArray[np.bool_]) -> "_CleanStars":
        return _CleanStars(
            stamps=self.stamps[rows],
            weight=self.weight[rows],
            x=self.x[rows],
            y=self.y[rows],
        )

    def fitting(self, psf: PolynomialPsf, min_stars: int) -> NDArray[np.bool_]:
        """Return False for what looks like no PSF: galaxies, blends, defects."""
        half = self.stamps.shape[1] // 2
        models = psf.centred_at_each(self.x, self.y)
        core = np.hypot(*np.mgrid[-half : half + 1, -half : half + 1]) <= half / 2
        misfit = np.abs(self.stamps - models)[:, core].sum(axis=1)
        misfit *= np.sqrt(self.weight)
        kept = misfit <= np.median(misfit) + _MAX_MISFIT * robust_std(misfit)
        kept[np.argsort(misfit, kind="stable")[:min_stars]] = True
        return np.asarray(kept)


def _pixels(exposure: Exposure) -> Pixels:
    image, variance, unusable = finite_planes(exposure, UNUSABLE)
    weight = np.reciprocal(np.maximum(variance, _LEAST_VARIANCE))
    weight[unusable] = 0
    return Pixels(image=image, weight=weight)


def _away_from(exposure: Exposure, found: Stars, half: int) -> NDArray[np.bool_]:
    """Return True for stars whose stamp is complete and free of saturation."""
    spoilt = MaskPlane.SAT | MaskPlane.NO_DATA
    clear = ~touches(exposure.mask, spoilt, found.x, found.y, half)
    ny, nx = exposure.shape
    inside = (found.x >= half) & (found.x < nx - half)
    inside &= (found.y >= half) & (found.y < ny - half)
    if not (clear & inside).any():
        return np.asarray(inside if inside.any() else np.ones_like(inside))
    return np.asarray(clear & inside)


def _with_neighbours(
    found: Stars, chosen: NDArray[np.intp], reach: float
) -> tuple[Sources, int]:
    """Return the chosen stars, and after them all others within reach of them."""
    others = np.delete(np.arange(len(found)), chosen)
    distance = nearest_neighbour_distance(
        found.x[others], found.y[others], found.x[chosen], found.y[chosen]
    )
    rows = np.concatenate([chosen, others[distance <= reach]])
    sources = Sources(x=found.x[rows], y=found.y[rows], flux=found.flux[rows])
    return sources, len(chosen)


def _first_stamps(pixels: Pixels, sources: Sources, n_stars: int, half: int) -> Stamps:
    """Return stars as they are, on the level of the rims of their stamps."""
    x, y, flux = (v[:n_stars] for v in (sources.x, sources.y, sources.flux))
    stamps = cut_out(pixels.image, x, y, half)
    rim = np.ones(stamps.shape[1:], bool)
    rim[2:-2, 2:-2] = False
    stamps -= np.quantile(stamps[:, rim], 0.25, axis=1)[:, np.newaxis, np.newaxis]
    centred = shift_pixels(stamps, -fraction(x), -fraction(y))
    return centred / flux[:, np.newaxis, np.newaxis]


def _clean_stamps(
    pixels: Pixels, fit: Fit, found: NDArray[np.float64], half: int, fwhm: float
) -> Stamps:
    """Return the first stars without their neighbours, centred, of flux 1.

    A star that was found with a flux and has lost it to its neighbours is a
    misfit; it is not blown up to be a star again.
    """
    stars = fit.sources.first(len(found))
    level = local_level(fit.residual, pixels, stars, fwhm)[:, np.newaxis, np.newaxis]
    good = cut_out(pixels.weight, stars.x, stars.y, half) > 0
    residual = cut_out(fit.residual, stars.x, stars.y, half)
    residual = np.where(good, residual - level, 0)
    left = shift_pixels(residual, -fraction(stars.x), -fraction(stars.y))
    flux = np.maximum(stars.flux, _FADED * found)[:, np.newaxis, np.newaxis]
    return np.asarray(fit.centred[: len(found)] + left / flux)


def _stack(
    stamps: Stamps, weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the weighted mean of stars, without what stands apart, and its error."""
    weights = weight[:, np.newaxis, np.newaxis]
    mean = np.median(stamps, axis=0)
    for _ in range(_CLIP_ROUNDS):
        deviation = np.abs(stamps - mean) * np.sqrt(weights)
        scatter = SIGMA_PER_MAD * np.median(deviation, axis=0)
        used = deviation <= _CLIP * np.maximum(scatter, np.finfo(float).tiny)
        total = (used * weights).sum(axis=0)
        sums = (np.where(used, stamps, 0) * weights).sum(axis=0)
        mean = np.divide(sums, total, out=mean.copy(), where=total > 0)
    error = scatter / np.sqrt(np.maximum(total, np.finfo(float).tiny))
    return np.asarray(mean, float), np.asarray(error, float)
