"""The level of a difference: what the subtraction left of the sky is taken off."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.background import sky_background
from streamdiff.imaging.compiled import compiled
from streamdiff.imaging.field_image import field_factors
from streamdiff.imaging.fit_background import fit_thinned, thinned
from streamdiff.model import Difference, MaskPlane

_NO_DATA = np.int32(MaskPlane.NO_DATA)
# Of the polynomial of the first pass over the background.
_ROUGH_ORDER = 2
# So large a plane has squares enough in a box [pixel].
_LARGE = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelRules:
    """How the level is told.

    Attributes
    ----------
    exclude : MaskPlane
        Pixels that do not count; those of streaks never do.
    box : int
        Side of the boxes [pixel]; 0 to leave differences as they are.
    """

    exclude: MaskPlane
    box: int

    @property
    def left_out(self) -> MaskPlane:
        """Return all pixels that do not count."""
        return self.exclude | MaskPlane.STREAK


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Plane:
    """What is levelled, without what is left out.

    Pixels on NO_DATA, or whose value says that it is missing, stay as they are.
    """

    values: NDArray[np.float32]
    mask: NDArray[np.int32]
    left_out: MaskPlane
    missing: np.float32

    def unusable(self, part: tuple[slice, slice] = np.s_[:, :]) -> NDArray[np.bool_]:
        """Return where pixels of some rows and columns do not count."""
        unusable = self.left_out.in_mask(self.mask[part])
        unusable |= self.values[part] == self.missing
        return unusable


def roughly_levelled(difference: Difference, rules: LevelRules) -> Difference:
    """Return the difference without the slope of what the subtraction left of sky.

    The first of two passes: a polynomial through the medians of boxes, for steep
    slopes that boxes can not follow at the border. A score is levelled, too.
    """
    if not rules.box:
        return difference
    image, score = _without_slope(_image(difference, rules)), difference.score
    if score is not None:
        score = _without_slope(_scored(difference, score, rules))
    return replace(difference, image=image, score=score)


def finely_levelled(difference: Difference, rules: LevelRules) -> Difference:
    """Return the difference on a level of 0, box by box.

    The second pass: sources of either sign that are seen now are left out. Where
    the difference brings a score, that is levelled: what is searched.
    """
    if not rules.box:
        return difference
    score = difference.score
    if score is None:
        image = _without_boxes(_image(difference, rules), rules.box)
        return replace(difference, image=image)
    score = _without_boxes(_scored(difference, score, rules), rules.box)
    return replace(difference, score=score)


def _image(difference: Difference, rules: LevelRules) -> _Plane:
    return _Plane(
        values=difference.image,
        mask=difference.mask,
        left_out=rules.left_out,
        missing=np.float32(np.nan),
    )


def _scored(
    difference: Difference, score: NDArray[np.float32], rules: LevelRules
) -> _Plane:
    """Return a score; there are no data where it is 0."""
    return _Plane(
        values=score,
        mask=difference.mask,
        left_out=rules.left_out | MaskPlane.NO_DATA,
        missing=np.float32(0),
    )


def _without_slope(plane: _Plane) -> NDArray[np.float32]:
    (height, width), thin = plane.values.shape, thinned(plane.values.shape)
    usable = ~plane.unusable(thin)
    slope = fit_thinned(plane.values[thin], usable, _ROUGH_ORDER, (height, width))
    factors = field_factors(slope, (height, width))
    result = np.empty_like(plane.values)
    _subtract_product(plane.values, plane.mask, plane.missing, factors, result)
    return result


def _without_boxes(plane: _Plane, box: int) -> NDArray[np.float32]:
    """Return a plane without its level; that of large ones from squares of 2 x 2."""
    height, width = plane.values.shape
    if min(height, width) < _LARGE or height % 2 or width % 2:
        level = sky_background(plane.values, plane.unusable(), box=box, both_signs=True)
    else:
        mean = np.empty((height // 2, width // 2), np.float32)
        lost = np.empty(mean.shape, np.bool_)
        left_out = np.int32(plane.left_out)
        given = plane.values, plane.mask, left_out, plane.missing
        _fill_squares(*given, mean, lost)
        level = sky_background(mean, lost, box=box // 2, both_signs=True)
    result = np.empty_like(plane.values)
    _subtract_squares(plane.values, plane.mask, plane.missing, level, result)
    return result


@compiled
def _fill_squares(
    plane: NDArray[np.float32],
    mask: NDArray[np.int32],
    excluded: np.int32,
    missing: np.float32,
    mean: NDArray[np.float32],
    lost: NDArray[np.bool_],
) -> None:
    """Fill in the means of squares of 2 x 2 pixels, and whether one is excluded."""
    height, width = mean.shape
    for y in range(height):
        upper, lower = plane[2 * y], plane[2 * y + 1]
        bits, bits_below = mask[2 * y], mask[2 * y + 1]
        for x in range(width):
            a, b, c, d = upper[2 * x], upper[2 * x + 1], lower[2 * x], lower[2 * x + 1]
            mean[y, x] = np.float32(0.25) * (a + b + c + d)
            unknown = (a == missing) | (b == missing) | (c == missing) | (d == missing)
            found = bits[2 * x] | bits[2 * x + 1]
            found |= bits_below[2 * x] | bits_below[2 * x + 1]
            lost[y, x] = unknown | ((found & excluded) != 0)


@compiled
def _subtract_squares(
    plane: NDArray[np.float32],
    mask: NDArray[np.int32],
    missing: np.float32,
    level: NDArray[np.float32],
    result: NDArray[np.float32],
) -> None:
    """Subtract a level of as many pixels, or of half as many along each axis."""
    height, width = plane.shape
    size = height // level.shape[0]
    line = np.empty(width, np.float32)
    for y in range(height):
        row = level[y // size]
        for i in range(len(row)):
            for k in range(size):
                line[i * size + k] = row[i]
        for x in range(width):
            value = plane[y, x]
            kept = ((mask[y, x] & _NO_DATA) != 0) | (value == missing)
            result[y, x] = value if kept else value - line[x]


@compiled
def _subtract_product(
    plane: NDArray[np.float32],
    mask: NDArray[np.int32],
    missing: np.float32,
    factors: tuple[NDArray[np.float32], NDArray[np.float32]],
    result: NDArray[np.float32],
) -> None:
    """Subtract the product of matrices, of shapes (ny, n) and (n, nx)."""
    (rows, columns), (height, width) = factors, plane.shape
    line = np.empty(width, np.float32)
    for y in range(height):
        line[:] = 0
        for k in range(len(columns)):
            weight, terms = rows[y, k], columns[k]
            for x in range(width):
                line[x] += weight * terms[x]
        for x in range(width):
            value = plane[y, x]
            kept = ((mask[y, x] & _NO_DATA) != 0) | (value == missing)
            result[y, x] = value if kept else value - line[x]
