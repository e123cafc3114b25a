"""Fitted trails as columns."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamdiff.model import Column, Difference
from streamdiff_measurement.elongation import ONE_SIDED_95
from streamdiff_measurement.sky import (
    errors_on_sky,
    offsets_on_sky,
    sky_positions,
    tangent_jacobian,
)
from streamdiff_measurement.source_moments import typical_fwhm
from streamdiff_measurement.trail_fit import Trails

TRAIL_COLUMNS = (
    Column("trailFlux", "f4", "nJy", "Flux of the whole trail"),
    Column("trailFluxErr", "f4", "nJy", "Uncertainty of trailFlux"),
    Column("trailRa", "f8", "deg", "Right ascension of its middle, ICRS"),
    Column("trailRaErr", "f4", "deg", "Uncertainty of trailRa, not times cos dec"),
    Column("trailDec", "f8", "deg", "Declination of its middle, ICRS"),
    Column("trailDecErr", "f4", "deg", "Uncertainty of trailDec"),
    Column("trailLength", "f4", "arcsec", "Length of the trail"),
    Column("trailLengthErr", "f4", "arcsec", "Uncertainty of trailLength"),
    Column("trailLengthMax", "f4", "arcsec", "Upper limit of the length, 95 %"),
    Column("trailAngle", "f4", "deg", "Bearing in [0, 180), from north through east"),
    Column("trailAngleErr", "f4", "deg", "Uncertainty of trailAngle"),
    Column("trailChi2", "f4", "", "Chi-squared of the trail"),
    Column("trailNdata", "i4", "", "Number of pixels of the fit"),
    Column("trail_flag", "?", "", "Whether no trail has been measured"),
    Column("trail_flag_edge", "?", "", "Whether an end is near the border"),
    Column("trail_flag_off_image", "?", "", "Whether an end is off the image"),
    Column(
        "trail_flag_suspect_long_trail",
        "?",
        "",
        "Whether it is too long to be measured",
    ),
)


def no_trails(n: int) -> dict[str, NDArray[Any]]:
    """Return values of the columns for DiaSources that are no trails."""
    values: dict[str, NDArray[Any]] = {}
    for column in TRAIL_COLUMNS:
        missing = np.nan if column.dtype.startswith("f") else 0
        values[column.name] = np.full(n, missing, column.dtype)
    values["trail_flag"][:] = True
    return values


def trail_values(difference: Difference, found: Trails) -> dict[str, NDArray[Any]]:
    """Return values of the columns for fitted trails."""
    x, y, a, b = found.trail.T
    jacobian = tangent_jacobian(difference.wcs, x, y)
    ra, dec = sky_positions(difference.wcs, x, y)
    of_middle = jacobian @ found.covariance[:, 1:3, 1:3] @ jacobian.swapaxes(1, 2)
    length, angle = offsets_on_sky(jacobian, a, b)
    length_error, angle_error = errors_on_sky(
        jacobian, a, b, found.covariance[:, 3:, 3:]
    )
    return {
        "trailFlux": found.flux,
        "trailFluxErr": np.sqrt(found.covariance[:, 0, 0]),
        "trailRa": ra,
        "trailRaErr": np.sqrt(of_middle[:, 0, 0]) / np.cos(np.radians(dec)),
        "trailDec": dec,
        "trailDecErr": np.sqrt(of_middle[:, 1, 1]),
        "trailLength": length,
        "trailLengthErr": length_error,
        "trailLengthMax": length + ONE_SIDED_95 * length_error,
        "trailAngle": angle % 180,
        "trailAngleErr": angle_error,
        "trailChi2": found.chi2,
        "trailNdata": found.n_pixels,
        "trail_flag": np.isnan(found.flux),
    }


def border_flags(
    difference: Difference, trail: NDArray[np.float64]
) -> dict[str, NDArray[np.bool_]]:
    """Return the flags of trails that may have a part off the image.

    Of one that has, no fit tells the length, or there is none.

    Parameters
    ----------
    difference : Difference
    trail : ndarray of float64, shape (n, 4)
        As `Trails.trail`, on the image.
    """
    margin = typical_fwhm(difference)
    return {
        "trail_flag_edge": _reaches(difference, trail, margin),
        "trail_flag_off_image": _reaches(difference, trail, -0.5),
    }


def _reaches(
    difference: Difference, trail: NDArray[np.float64], margin: float
) -> NDArray[np.bool_]:
    """Return whether an end is off the image, or within a margin of its border."""
    middle, half = trail[:, :2], trail[:, 2:] / 2
    last = np.array(difference.shape[::-1]) - 1 - margin
    ends = np.stack([middle - half, middle + half])
    return np.asarray(((ends < margin) | (ends > last)).any(axis=(0, 2)))
