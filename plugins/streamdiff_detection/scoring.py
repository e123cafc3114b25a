"""From a difference to a significance map that its noise accounts for."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.background import sky_background
from streamdiff.imaging.compiled import compiled
from streamdiff.imaging.field_image import field_image
from streamdiff.imaging.fit_background import fit_background
from streamdiff.imaging.places import places, with_plane
from streamdiff.imaging.significance import PointSourceFilter
from streamdiff.model import UNUSABLE, Difference, MaskPlane, Noise
from streamdiff_detection.excess_noise import ExcessNoise, measure_excess
from streamdiff_detection.starlight import Starlight
from streamdiff_detection.streaks import (
    binned_pulls,
    find_streak_pixels,
    stronger_sign,
)

# Planes of pixels that are filled in, or close to such.
_DOUBTED = UNUSABLE | MaskPlane.SAT_TEMPLATE | MaskPlane.SUSPECT | MaskPlane.EDGE
# Gives the background of a plane, without the pixels that are True.
_Background = Callable[[NDArray[np.float32], NDArray[np.bool_]], NDArray[np.float32]]
# Of the polynomial of the first pass over the background.
_ROUGH_ORDER = 2
# So large a plane has squares enough in a box [pixel].
_LARGE = 1024
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
    background_box : int
        Side of the boxes [pixel] whose level is subtracted before; 0 for none.
    relative_noise : float or None
        What is left of stars, as a fraction of their flux; `None` to measure it.
    """

    exclude: MaskPlane
    min_power: float
    background_box: int
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


def roughly_levelled(difference: Difference, rules: ScoreRules) -> Difference:
    """Return the difference without the slope of what the subtraction left of sky.

    The first of two passes: a polynomial through the medians of boxes, for steep
    slopes that boxes can not follow at the border. A score is levelled, too.
    """

    def rough(
        plane: NDArray[np.float32], excluded: NDArray[np.bool_]
    ) -> NDArray[np.float32]:
        slope = fit_background(plane, ~excluded, _ROUGH_ORDER)
        return field_image(slope, plane.shape)

    if not rules.background_box:
        return difference
    levelled = _image_without(difference, rules, rough)
    return _score_without(levelled, rules, rough)


def finely_levelled(difference: Difference, rules: ScoreRules) -> Difference:
    """Return the difference on a level of 0, box by box.

    The second pass: sources of either sign that are seen now are left out. Where
    the difference brings a score, that is levelled: what is searched.
    """

    def fine(
        plane: NDArray[np.float32], excluded: NDArray[np.bool_]
    ) -> NDArray[np.float32]:
        return _boxed_level(plane, excluded, rules.background_box)

    if not rules.background_box:
        return difference
    if difference.score is None:
        return _image_without(difference, rules, fine)
    return _score_without(difference, rules, fine)


def _image_without(
    difference: Difference, rules: ScoreRules, background: _Background
) -> Difference:
    image = difference.image - background(
        difference.image, _left_out(difference, rules)
    )
    no_data = places(MaskPlane.NO_DATA.in_mask(difference.mask))
    image[no_data] = difference.image[no_data]
    return replace(difference, image=image)


def _score_without(
    difference: Difference, rules: ScoreRules, background: _Background
) -> Difference:
    if difference.score is None:
        return difference
    unscored = difference.score == 0
    excluded = unscored | _left_out(difference, rules)
    score = difference.score - background(difference.score, excluded)
    return replace(difference, score=np.where(unscored, 0, score))


def _left_out(difference: Difference, rules: ScoreRules) -> NDArray[np.bool_]:
    return (rules.exclude | MaskPlane.STREAK).in_mask(difference.mask)


def _boxed_level(
    plane: NDArray[np.float32], excluded: NDArray[np.bool_], box: int
) -> NDArray[np.float32]:
    """Return the level of boxes; that of large planes from squares of 2 x 2 pixels."""
    ny, nx = plane.shape
    if min(ny, nx) < _LARGE or ny % 2 or nx % 2:
        return sky_background(plane, excluded, box=box, both_signs=True)
    mean = np.empty((ny // 2, nx // 2), np.float32)
    lost = np.empty(mean.shape, np.bool_)
    _fill_squares(plane, excluded, mean, lost)
    level = sky_background(mean, lost, box=box // 2, both_signs=True)
    return np.repeat(np.repeat(level, 2, axis=0), 2, axis=1)


@compiled
def _fill_squares(
    plane: NDArray[np.float32],
    excluded: NDArray[np.bool_],
    mean: NDArray[np.float32],
    lost: NDArray[np.bool_],
) -> None:
    """Fill in the means of squares of 2 x 2 pixels, and whether one is excluded."""
    height, width = mean.shape
    for y in range(height):
        upper, lower = plane[2 * y], plane[2 * y + 1]
        out, out_below = excluded[2 * y], excluded[2 * y + 1]
        for x in range(width):
            total = upper[2 * x] + upper[2 * x + 1] + lower[2 * x] + lower[2 * x + 1]
            mean[y, x] = np.float32(0.25) * total
            lost[y, x] = (
                out[2 * x] | out[2 * x + 1] | out_below[2 * x] | out_below[2 * x + 1]
            )


def without_streaks(difference: Difference, rules: ScoreRules) -> Difference:
    """Return a roughly levelled difference with streaks masked, at any angle.

    Notes
    -----
    A wide one lifts the level that the rough pass takes off: its sides are lost, and
    what is beside it seems to be a streak of the other sign. Once it is masked, the
    pass is repeated, and the sides are sought.
    """
    pulls = _pulls(difference, rules)
    first = stronger_sign(pulls)
    found = True
    for sign in (first, first, -first):
        if sign == first and not found:
            continue
        streaks = find_streak_pixels(sign * pulls, difference.shape)
        found = bool(streaks.any())
        if found:
            mask = with_plane(difference.mask, streaks, MaskPlane.STREAK)
            difference = roughly_levelled(replace(difference, mask=mask), rules)
            pulls = _pulls(difference, rules)
    return difference


def _pulls(difference: Difference, rules: ScoreRules) -> NDArray[np.float32]:
    good = ~_left_out(difference, rules)
    return binned_pulls(difference.image, difference.variance, good)


def scored(difference: Difference, width: float, rules: ScoreRules) -> Scored:
    """Return the significance of a difference with a PSF of a width [pixel]."""
    raw, template = _significances(difference, rules)
    stars = Starlight.of(template, width)
    excess = measure_excess(
        raw,
        stars,
        _measured(raw, difference.mask),
        trusted=difference.noise is Noise.WHITE,
        settled=difference.score is not None,
    )
    if rules.relative_noise is not None:
        excess = replace(excess, fraction=rules.relative_noise)
    return Scored(raw=raw, score=excess.calibrated(raw, stars), excess=excess)


def _measured(score: NDArray[np.float32], mask: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Return where the noise of a map can be told, which is where it has a value.

    Beside holes the variance is that of what is filled in: next to nothing is
    significant there, neither noise nor the stars. If possible, that is left out.
    """
    known: NDArray[np.bool_] = score != 0
    clear: NDArray[np.bool_] = known & ~_DOUBTED.in_mask(mask)
    enough = _MIN_CLEAR * np.count_nonzero(known)
    return clear if np.count_nonzero(clear) >= enough else known


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
    score, stars = found if len(found) > 1 else (*found, np.zeros_like(found[0]))
    no_data = places(MaskPlane.NO_DATA.in_mask(difference.mask))
    score[no_data] = stars[no_data] = 0
    return score, stars


def _finite(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.where(np.isfinite(plane), plane, np.float32(0))
