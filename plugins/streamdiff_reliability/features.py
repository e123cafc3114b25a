"""What tells a change on the sky from an artifact: numbers of each DiaSource.

All of them are ratios, in sigma or in FWHM, so that they mean the same in any
seeing, depth and calibration. Pixel flags are not among them.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from streamdiff.imaging.stamps import batches
from streamdiff.model import DiaSources
from streamdiff.stages import Images
from streamdiff_reliability.stamps import (
    FIT_FWHM,
    TripletStamps,
    psf_width,
    triplet_stamps,
)

# Of measurements: what is divided by what. The unit of both is the same.
_RATIOS: Mapping[str, tuple[str, str]] = {
    "aperture_ratio": ("apFlux", "psfFlux"),
    "template_ratio": ("templateFlux", "psfFlux"),
    "science_ratio": ("scienceFlux", "psfFlux"),
    "dipole_power": ("dipoleSnr", "snr"),
    "dipole_balance": ("dipoleFluxDiff", "dipoleMeanFlux"),
    "moment_xx": ("ixx", "ixxPSF"),
    "moment_yy": ("iyy", "iyyPSF"),
}
_PLAIN = ("extendedness", "isDipole", "isNegative")
# Beyond this, ratios say nothing more.
_LARGEST = 1e4
# Signal of single pixels [sigma].
_SIGNAL = 3.0
_NEAR_FWHM, _FAR_FWHM = 5.0, 20.0
# Radius that holds the peak [FWHM].
_CORE = 0.5


def features(sources: DiaSources, images: Images) -> dict[str, NDArray[np.float32]]:
    """Return the features by name, shape (n,) each; NaN where one is not known.

    Parameters
    ----------
    sources : DiaSources
        Measurements that are not there make features NaN.
    images : Images
    """
    width = psf_width(images)
    parts = [
        _of_pixels(triplet_stamps(sources.take(np.r_[part]), images, width))
        for part in batches(len(sources))
    ]
    values = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    values |= _of_measurements(sources) | _of_neighbours(sources, width)
    return {
        name: np.clip(value, -_LARGEST, _LARGEST).astype(np.float32)
        for name, value in values.items()
    }


def _of_pixels(stamps: TripletStamps) -> dict[str, NDArray[np.float64]]:
    radius, pixels, model = stamps.radius, stamps.difference, stamps.model
    left = pixels - model
    inner, middle = radius <= 1, (radius > 1) & (radius <= 2)
    core, near, ring = radius <= _CORE, radius <= 2, (radius > 2) & (radius <= 4)
    bright = radius <= FIT_FWHM
    top = np.maximum(model.max(axis=1), 1e-3)
    highest = _largest(pixels, near)
    return {
        "significance": np.log10(np.maximum(_norm(model, near), 0.1)),
        "chi2_inner": np.log10(_mean(left**2, inner) + 0.01),
        "chi2_middle": np.log10(_mean(left**2, middle) + 0.01),
        # What is left beyond the noise, as a fraction of the peak.
        "misfit_inner": np.sqrt(np.maximum(_mean(left**2, inner) - 1, 0)) / top,
        "misfit_middle": np.sqrt(np.maximum(_mean(left**2, middle) - 1, 0)) / top,
        "correlation": _correlation(pixels, model, bright),
        "sharpness": highest / top,
        "concentration": _ratio(
            _sum(pixels, core) * _sum(model, inner),
            _sum(pixels, inner) * _sum(model, core),
        ),
        "growth": _ratio(
            _sum(pixels, near) * _sum(model, inner),
            _sum(pixels, inner) * _sum(model, near),
        ),
        "negative": _ratio(
            _sum(np.maximum(-pixels - _SIGNAL, 0), near),
            _sum(np.maximum(pixels - _SIGNAL, 0), near) + 1,
        ),
        "deepest": _ratio(_largest(-pixels, near), highest),
        "deepest_around": _ratio(_largest(-pixels, ring), highest),
        "highest_around": _ratio(_largest(pixels, ring), highest),
        "asymmetry": _asymmetry(pixels, bright, stamps.side),
        "ring_std": np.log10(np.sqrt(_mean(pixels**2, ring)) + 0.01),
        "ring_mean": _mean(pixels, ring),
        "ring_outliers": _mean(np.abs(pixels) > _SIGNAL, ring),
        "template_peak": np.log10(_largest(stamps.template, near) / top + 1e-3),
        "template_peak_around": np.log10(_largest(stamps.template, ring) / top + 1e-3),
        "template_slope": _slope(stamps.template, stamps.side, inner) / top,
    }


def _of_measurements(sources: DiaSources) -> dict[str, NDArray[np.float64]]:
    nothing = np.full(len(sources), np.nan)

    def column(name: str) -> NDArray[np.float64]:
        return np.asarray(sources[name], float) if name in sources else nothing

    ratios = {
        name: _ratio(column(above), column(below))
        for name, (above, below) in _RATIOS.items()
    }
    plain = {name: column(name) for name in _PLAIN}
    chi2 = _ratio(column("psfChi2"), column("psfNdata"))
    trail = _ratio(
        column("trailLengthMax"), np.sqrt(column("ixxPSF") + column("iyyPSF"))
    )
    return ratios | plain | {"chi2": np.log10(chi2 + 0.01), "trail_length": trail}


def _of_neighbours(sources: DiaSources, width: float) -> dict[str, NDArray[np.float64]]:
    """Return how many other DiaSources are around, and how far the nearest is."""
    points = np.column_stack([sources["x"], sources["y"]]).astype(float) / width
    if len(points) < 2:
        alone = np.zeros(len(points))
        return {"n_near": alone, "nearest": alone + _FAR_FWHM}
    tree = KDTree(points)
    distance = tree.query(points, k=2)[0][:, 1]
    count = tree.query_ball_point(points, _NEAR_FWHM, return_length=True) - 1
    return {
        "n_near": np.asarray(count, float),
        "nearest": np.minimum(distance, _FAR_FWHM),
    }


def _sum(values: NDArray[np.float64], inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    total: NDArray[np.float64] = np.sum(values * inside, axis=1)
    return total


def _mean(
    values: NDArray[np.generic], inside: NDArray[np.bool_]
) -> NDArray[np.float64]:
    total: NDArray[np.float64] = np.sum(values * inside, axis=1)
    mean: NDArray[np.float64] = total / np.maximum(inside.sum(axis=1), 1)
    return mean


def _norm(
    values: NDArray[np.float64], inside: NDArray[np.bool_]
) -> NDArray[np.float64]:
    return np.sqrt(_sum(values**2, inside))


def _largest(
    values: NDArray[np.float64], inside: NDArray[np.bool_]
) -> NDArray[np.float64]:
    largest: NDArray[np.float64] = np.max(np.where(inside, values, 0), axis=1)
    return largest


def _ratio(
    above: NDArray[np.float64], below: NDArray[np.float64]
) -> NDArray[np.float64]:
    ratio: NDArray[np.float64] = np.full(len(above), np.nan)
    np.divide(above, below, out=ratio, where=below != 0)
    return ratio


def _correlation(
    pixels: NDArray[np.float64], model: NDArray[np.float64], inside: NDArray[np.bool_]
) -> NDArray[np.float64]:
    return _ratio(
        _sum(pixels * model, inside), _norm(pixels, inside) * _norm(model, inside)
    )


def _asymmetry(
    pixels: NDArray[np.float64], inside: NDArray[np.bool_], side: int
) -> NDArray[np.float64]:
    """Return the odd part of pixels over the even part, about the middle pixel."""
    square = np.where(inside, pixels, 0).reshape(-1, side, side)
    turned = square[:, ::-1, ::-1]
    odd, even = (
        np.sqrt(np.sum(part**2, axis=(1, 2)))
        for part in (square - turned, square + turned)
    )
    return _ratio(odd, even)


def _slope(
    values: NDArray[np.float64], side: int, inside: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the steepest slope [1 / pixel]."""
    square = values.reshape(-1, side, side)
    slope = np.hypot(*np.gradient(square, axis=(1, 2)))
    return _largest(slope.reshape(values.shape), inside)
