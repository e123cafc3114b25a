"""From a difference to a significance map that its noise accounts for."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.compiled import compiled
from streamdiff.imaging.significance import PointSourceFilter
from streamdiff.model import UNUSABLE, Difference, MaskPlane, Noise
from streamdiff_detection.excess_noise import ExcessNoise, measure_excess
from streamdiff_detection.starlight import Starlight

# Planes of pixels that are filled in, or close to such.
_DOUBTED = UNUSABLE | MaskPlane.SAT_TEMPLATE | MaskPlane.SUSPECT | MaskPlane.EDGE
# The least part of a map that stands for all of it.
_MIN_CLEAR = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRules:
    """How significance is found.

    Attributes
    ----------
    exclude : MaskPlane
        Pixels that do not count.
    min_power : float
        Least fraction of the PSF's power on pixels that count.
    relative_noise : float or None
        What is left of stars, as a fraction of their flux; `None` to measure it.
    """

    exclude: MaskPlane
    min_power: float
    relative_noise: float | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scored:
    """A significance map; shape (ny, nx), 0 where there is none.

    Attributes
    ----------
    raw : ndarray of float32
        By the variance of the difference.
    score : ndarray of float32
        By all noise that there is: with a standard deviation of 1.
    excess : ExcessNoise
        What makes them differ.
    """

    raw: NDArray[np.float32]
    score: NDArray[np.float32]
    excess: ExcessNoise


def scored(difference: Difference, width: float, rules: ScoreRules) -> Scored:
    """Return the significance of a difference with a PSF of a width [pixel]."""
    raw, template = _significances(difference, rules)
    measured = _cleared(raw, template, difference.mask)
    stars = Starlight.of(template, width)
    excess = measure_excess(
        raw,
        stars,
        measured,
        trusted=difference.noise is Noise.WHITE,
        settled=difference.score is not None,
    )
    if rules.relative_noise is not None:
        excess = replace(excess, fraction=rules.relative_noise)
    return Scored(raw=raw, score=excess.calibrated(raw, stars), excess=excess)


def _cleared(
    score: NDArray[np.float32], stars: NDArray[np.float32], mask: NDArray[np.int32]
) -> NDArray[np.bool_]:
    """Clear maps where there are no data, and return where their noise can be told.

    That is where they have a value. Beside holes the variance is that of what is
    filled in: next to nothing is significant there, neither noise nor the stars. If
    possible, that is left out.
    """
    clear = np.empty(score.shape, np.bool_)
    no_data, doubted = np.int32(MaskPlane.NO_DATA), np.int32(_DOUBTED)
    n_known = _fill_clear(score, stars, mask, no_data, doubted, clear)
    enough = np.count_nonzero(clear) >= _MIN_CLEAR * n_known
    return clear if enough else score != 0


@compiled
def _fill_clear(
    score: NDArray[np.float32],
    stars: NDArray[np.float32],
    mask: NDArray[np.int32],
    no_data: np.int32,
    doubted: np.int32,
    clear: NDArray[np.bool_],
) -> int:
    """Clear what has no data, and return how many values are left."""
    n_known = 0
    for y in range(score.shape[0]):
        masked = np.int32(0)
        for x in range(score.shape[1]):
            known = score[y, x] != 0
            n_known += known
            clear[y, x] = known & ((mask[y, x] & doubted) == 0)
            masked |= mask[y, x]
        if not masked & no_data:
            continue
        for x in range(score.shape[1]):
            if mask[y, x] & no_data:
                n_known -= score[y, x] != 0
                score[y, x] = stars[y, x] = 0
    return n_known


def _significances(
    difference: Difference, rules: ScoreRules
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the significance of the difference, and that of the stars under it."""
    template, given = difference.matched_template, difference.template_score
    if difference.score is None:
        matched = PointSourceFilter.of(
            difference, exclude=rules.exclude, min_power=rules.min_power
        )
        images = [difference.image, *([] if template is None else [template])]
        found = matched.significances(images)
    else:
        found = [_finite(p) for p in (difference.score, given) if p is not None]
    score, *others = found
    return score, others[0] if others else np.zeros_like(score)


def _finite(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.where(np.isfinite(plane), plane, np.float32(0))
