"""The flux scale and the registration of two exposures to each other."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from streamdiff.imaging.flux_ratio import reference_stars
from streamdiff.model import Exposure
from streamdiff_zogy.scatter import intrinsic_scatter, robust_mean
from streamdiff_zogy.stars import StarPairs, compare_stars

# The brightest stars know the registration best; more than these cost time alone.
_MAX_STARS = 200
# Stars whose flux ratios spread more, as a fraction, are not the same stars.
_MAX_SPREAD = 0.3


class Fluxes(StrEnum):
    """Where the flux scale of two exposures is taken from."""

    AUTO = "auto"
    CALIBRATED = "calibrated"
    FITTED = "fitted"


class TooFewStarsError(Exception):
    """There are too few stars to find the flux scale of uncalibrated images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationRules:
    """How two exposures are calibrated to each other.

    Attributes
    ----------
    fluxes : Fluxes
    min_stars : int
        With fewer, nothing is fitted.
    sigma_x, sigma_y : float or None
        Scatter of the registration [pixel]; `None`: measured.
    scatter_floor : float
        Least measured scatter [pixel].
    """

    fluxes: Fluxes
    min_stars: int
    sigma_x: float | None
    sigma_y: float | None
    scatter_floor: float

    @property
    def needs_stars(self) -> bool:
        """Return whether anything is to be measured."""
        known = self.sigma_x is not None and self.sigma_y is not None
        return self.fluxes != Fluxes.CALIBRATED or not known


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How a science exposure compares with its template.

    Attributes
    ----------
    flux_ratio, flux_ratio_error : float
        Flux of a star in the science image over that in the template; the error is
        0 where it was not fitted.
    sigma_x, sigma_y : float
        Scatter of positions between the two along each axis [pixel].
    offset_x, offset_y : float
        Median position in the science image minus that in the template [pixel];
        NaN without stars.
    n_stars : int
        Stars that could be measured.
    measured_scatter : bool
        Whether stars gave a scatter; else it was set, or is the floor.
    """

    flux_ratio: float
    flux_ratio_error: float
    sigma_x: float
    sigma_y: float
    offset_x: float
    offset_y: float
    n_stars: int
    measured_scatter: bool

    @property
    def metrics(self) -> Mapping[str, float]:
        """Return what was found."""
        return {
            "f_n": self.flux_ratio,
            "f_r": 1.0,
            "f_n_error": self.flux_ratio_error,
            "astrometric_sigma_x": self.sigma_x,
            "astrometric_sigma_y": self.sigma_y,
            "astrometric_sigma_measured": float(self.measured_scatter),
            "template_offset_x_pixel": self.offset_x,
            "template_offset_y_pixel": self.offset_y,
            "n_calibration_stars": float(self.n_stars),
        }


def calibrate(
    science: Exposure, template: Exposure, rules: CalibrationRules
) -> Calibration:
    """Return how an exposure compares with its template.

    Raises
    ------
    TooFewStarsError
        If the flux scale has to be fitted, and there are not enough stars.
    """
    pairs = None
    if rules.needs_stars:
        stars = reference_stars(template)
        brightest = stars.take(np.arange(min(len(stars), _MAX_STARS)))
        pairs = compare_stars(science, template, brightest)
    n_stars = 0 if pairs is None else len(pairs)
    fitted, fitted_error, enough = 1.0, 0.0, False
    if pairs is not None and n_stars >= rules.min_stars:
        fitted, fitted_error, spread = robust_mean(
            pairs.flux_ratio, pairs.flux_ratio_error
        )
        enough = spread <= _MAX_SPREAD * fitted
    calibrated = science.photometric and template.photometric
    ratio, error = 1.0, 0.0
    if enough and rules.fluxes != Fluxes.CALIBRATED:
        ratio, error = fitted, fitted_error
    elif rules.fluxes == Fluxes.FITTED or not (
        calibrated or rules.fluxes == Fluxes.CALIBRATED
    ):
        raise TooFewStarsError(
            f"{n_stars} stars give no flux scale: at least {rules.min_stars} are "
            "needed that agree"
        )
    scatter = _scatter(pairs) if pairs is not None and enough else (0.0, 0.0)
    sigma_x, sigma_y = (
        max(measured, rules.scatter_floor) if given is None else given
        for given, measured in zip((rules.sigma_x, rules.sigma_y), scatter, strict=True)
    )
    offset_x, offset_y = _offset(pairs) if pairs is not None else (np.nan, np.nan)
    return Calibration(
        flux_ratio=ratio,
        flux_ratio_error=error,
        sigma_x=sigma_x,
        sigma_y=sigma_y,
        offset_x=offset_x,
        offset_y=offset_y,
        n_stars=n_stars,
        measured_scatter=enough and None in (rules.sigma_x, rules.sigma_y),
    )


def _offset(pairs: StarPairs) -> tuple[float, float]:
    if not len(pairs):
        return np.nan, np.nan
    return float(np.median(pairs.dx)), float(np.median(pairs.dy))


def _scatter(pairs: StarPairs) -> tuple[float, float]:
    """Return the scatter of stars around where they should be, along x and y."""
    return (
        intrinsic_scatter(pairs.dx, pairs.dx_error),
        intrinsic_scatter(pairs.dy, pairs.dy_error),
    )
