"""Where an epoch deviates from the static sky."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from streamdiff.imaging.interpolate import dilate_by_square
from streamdiff.imaging.noise import robust_std
from streamdiff_coadd.strip import THIN, DeviationRules, Strip, StripModel

# The scatter of the sky is taken from no fewer pixels: from those where no more is
# forgiven [sigma], or from the emptiest [percent].
_FEWEST_PIXELS, _BLANK, _EMPTIEST = 1000, 0.05, 30
# The errors of the PSF are taken from stars that stand so far out [sigma], with so
# many pixels.
_BRIGHT, _FEWEST_IN_STARS = 30, 100
# What an interpolation may be wrong by, over the peak nearby.
_INTERPOLATED = np.float32(0.3)


def deviations(
    model: StripModel, strip: Strip, number: int, rules: DeviationRules
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.float32]]:
    """Return where an epoch deviates strongly, where at all, and by how much.

    The amounts, 0 where it does not deviate, are those of single pixels, without
    what is forgiven.

    Parameters
    ----------
    model : StripModel
        Of the strip.
    strip : Strip
    number : int
        Of the epoch.
    rules : DeviationRules
    """
    image, variance = strip.images[number], strip.variances[number]
    noise = _noise(model, image, variance, strip.weights[number])
    tested = np.isfinite(image) & (noise > 0)
    noise = np.sqrt(np.where(tested, noise, np.float32(1)))
    difference = np.zeros(image.shape, np.float32)
    np.subtract(image, model.image, out=difference, where=tested)
    forgiven = model.peaks * _star_errors(model, difference, noise, tested, rules)
    # What is interpolated beside a saturated star may be wrong by much of its light.
    beside = dilate_by_square(~np.isfinite(image), model.side)
    np.maximum(forgiven, _INTERPOLATED * model.peaks, out=forgiven, where=beside)
    empty = _empty(model, noise, tested)
    if rules.scale_variance:
        noise *= _scatter(difference[THIN][empty] / noise[THIN][empty])
    beyond = np.maximum(np.abs(difference) - forgiven, 0)
    significance = np.copysign(beyond, difference) / noise
    # What is faint and extended is seen in a mean, by the scatter of such means.
    smooth = uniform_filter(significance, model.side, mode="nearest")
    means = uniform_filter(difference / noise, model.side, mode="nearest")
    smooth /= _scatter(means[THIN][empty])
    size = np.maximum(np.abs(significance), np.abs(smooth))
    size[~tested] = 0
    deviant = size > rules.grow_threshold
    return size > rules.threshold, deviant, np.where(deviant, beyond, np.float32(0))


def _noise(
    model: StripModel,
    image: NDArray[np.float32],
    variance: NDArray[np.float32],
    weight: np.float32,
) -> NDArray[np.float32]:
    """Return the variance of the difference of an epoch and the static sky."""
    limit = model.tolerance + model.reach * np.sqrt(variance)
    share = np.where(np.abs(image - model.median) <= limit, weight, np.float32(0))
    share /= np.where(model.weight > 0, model.weight, np.float32(1))
    # An epoch's noise is part of that of the mean that it is compared with.
    noise: NDArray[np.float32] = variance * (1 - 2 * share) + model.variance
    return noise


def _star_errors(
    model: StripModel,
    difference: NDArray[np.float32],
    noise: NDArray[np.float32],
    tested: NDArray[np.bool_],
    rules: DeviationRules,
) -> np.float32:
    """Return what may be left of a star, over its peak: as much as of most."""
    peaks, above = model.peaks[THIN], model.median[THIN] - model.sky
    core = tested[THIN] & (above > 0.5 * peaks) & (peaks > _BRIGHT * noise[THIN])
    if np.count_nonzero(core) < _FEWEST_IN_STARS:
        return np.float32(rules.star_tolerance)
    scatter = robust_std(difference[THIN][core] / peaks[core])
    return np.float32(max(rules.star_tolerance, rules.clip * scatter))


def _empty(
    model: StripModel, noise: NDArray[np.float32], tested: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return which pixels, of a thinner set, show the emptiest sky.

    In a crowded field no sky is empty, and what the errors of the PSFs leave of
    faint stars is noise, too.
    """
    tested, tolerance = tested[THIN], model.tolerance[THIN]
    if not tested.any():
        return tested
    limit = np.maximum(
        _BLANK * noise[THIN], np.percentile(tolerance[tested], _EMPTIEST)
    )
    empty: NDArray[np.bool_] = tested & (tolerance <= limit)
    return empty


def _scatter(values: NDArray[np.floating]) -> np.float32:
    """Return the scatter of values of the sky [sigma], 1 if it can not be told."""
    scatter = robust_std(values) if values.size >= _FEWEST_PIXELS else 1.0
    return np.float32(scatter if scatter > 0 else 1)
