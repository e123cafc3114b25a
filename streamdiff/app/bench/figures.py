"""The figures that plugins are compared by, and which of two is the better."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from streamdiff.imaging.background import blank_pixels
from streamdiff.imaging.point_source import forced_flux
from streamdiff.imaging.stars import find_stars
from streamdiff.model import UNUSABLE, DiaSources, Difference, Exposure, MaskPlane
from streamdiff.testing.figures import noise_ratio, star_residuals
from streamdiff.testing.ladder import Observed

# A DiaSource so near to a change is that change [pixel].
_NEAR = 3.0
# Changes of fewer sigma are missed by chance alone.
_SURE_SNR = 10.0
_MAX_STARS = 300
_BRIGHT_SNR = 200.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure of merit.

    Attributes
    ----------
    name : str
    doc : str
    loss : callable
        The smaller, the better.
    tolerance : float
        Losses that differ by less are as good as each other.
    """

    name: str
    doc: str
    loss: Callable[[float], float]
    tolerance: float


def _off_one(value: float) -> float:
    return abs(value - 1)


FIGURES: Mapping[str, Figure] = MappingProxyType(
    {
        figure.name: figure
        for figure in (
            Figure(
                name="depth",
                doc="smallest possible flux error over that of the difference",
                # Above 1 it has not taken the constant sky away.
                loss=lambda v: -min(v, 1.0),
                tolerance=0.005,
            ),
            Figure(
                name="noise_ratio",
                doc="standard deviation of image / sigma in blank sky",
                loss=_off_one,
                tolerance=0.005,
            ),
            Figure(
                name="snr_std",
                doc="standard deviation of the score in blank sky",
                loss=_off_one,
                tolerance=0.01,
            ),
            Figure(
                name="chi_star",
                doc="rms of image / sigma on bright stars, over noise_ratio",
                loss=lambda v: max(v, 1.0),
                tolerance=0.02,
            ),
            Figure(
                name="false_per_mpx",
                doc="DiaSources per megapixel that are no change; all, on real images",
                loss=lambda v: v,
                tolerance=2.0,
            ),
            Figure(
                name="completeness",
                doc="part of the changes above 10 sigma that are found",
                loss=lambda v: -v,
                tolerance=0.01,
            ),
            Figure(
                name="flux_bias",
                doc="relative error of forced fluxes, weighted mean",
                loss=abs,
                tolerance=0.002,
            ),
            Figure(
                name="pull_std",
                doc="standard deviation of (flux - true flux) / error",
                loss=_off_one,
                tolerance=0.05,
            ),
            Figure(
                name="fft_units",
                doc="processor time, over that of one real transform of the image",
                loss=lambda v: v,
                tolerance=1.0,
            ),
            Figure(
                name="memory_planes",
                doc="peak memory, over that of one float32 image",
                loss=lambda v: v,
                tolerance=1.0,
            ),
        )
    }
)


def of_simulation(
    observed: Observed, difference: Difference, sources: DiaSources
) -> dict[str, float]:
    """Return the figures of a simulated pair, whose truth is known."""
    ratio = noise_ratio(difference, observed.blank)
    chi = star_residuals(difference, *observed.bright_stars)
    score = difference.score
    return {
        **_of_fluxes(observed, difference),
        "noise_ratio": ratio,
        "snr_std": float(score[observed.blank].std()) if score is not None else np.nan,
        "chi_star": _root_mean_square(chi) / ratio,
        **_of_detections(observed, sources),
    }


def of_exposures(
    difference: Difference, science: Exposure, sources: DiaSources
) -> dict[str, float]:
    """Return the figures of a real pair: all but those that need the truth."""
    excluded = (UNUSABLE | MaskPlane.EDGE | MaskPlane.SAT_TEMPLATE).in_mask(
        difference.mask
    )
    blank = blank_pixels(science.image, excluded)
    score = difference.score
    stars = find_stars(science, max_stars=_MAX_STARS, keep_blended=False)
    bright = stars.snr > _BRIGHT_SNR
    ratio = noise_ratio(difference, blank)
    chi = star_residuals(difference, stars.x[bright], stars.y[bright])
    known = chi[np.isfinite(chi)]
    usable = int(np.count_nonzero(~excluded))
    return {
        "noise_ratio": ratio,
        "snr_std": float(score[blank].std()) if score is not None else np.nan,
        # Some of them may have changed, or moved.
        "chi_star": float(np.median(known)) / ratio if known.size else np.nan,
        "false_per_mpx": 1e6 * len(sources) / max(usable, 1),
    }


def better(name: str, one: float, other: float) -> int:
    """Return 1 where the first of two values is better, -1 worse, else 0."""
    figure = FIGURES[name]
    if not (np.isfinite(one) and np.isfinite(other)):
        return int(np.isfinite(one)) - int(np.isfinite(other))
    gain = figure.loss(other) - figure.loss(one)
    return 0 if abs(gain) <= figure.tolerance else int(np.sign(gain))


def _of_fluxes(observed: Observed, difference: Difference) -> dict[str, float]:
    x, y, true = observed.places
    found = forced_flux(difference, x, y, exclude=UNUSABLE)
    good = np.isfinite(found.flux) & np.isfinite(found.flux_error)
    error = found.flux_error[good]
    off = found.flux[good] - true[good]
    weight = np.square(true[good] / error)
    dark = forced_flux(difference, *observed.dark_places, exclude=UNUSABLE)
    ideal = observed.ideal_errors(*observed.dark_places)
    return {
        "depth": float(np.nanmedian(ideal / dark.flux_error)),
        "flux_bias": float(np.average(off / true[good], weights=weight)),
        "pull_std": float((off / error).std()),
    }


def _of_detections(observed: Observed, sources: DiaSources) -> dict[str, float]:
    x, y, flux = observed.places
    sure = flux > _SURE_SNR * observed.ideal_errors(x, y)
    area = observed.light.size / 1e6
    if not len(sources):
        return {"false_per_mpx": 0.0, "completeness": 0.0}
    found = np.transpose([sources["x"], sources["y"]])
    true = np.transpose([x, y])
    false = cKDTree(true).query(found)[0] > _NEAR
    seen = cKDTree(found).query(true[sure])[0] <= _NEAR
    return {
        "false_per_mpx": float(np.count_nonzero(false)) / area,
        "completeness": float(seen.mean()),
    }


def _root_mean_square(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(np.sqrt(np.square(known).mean())) if known.size else np.nan
