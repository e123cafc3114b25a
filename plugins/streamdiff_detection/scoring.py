"""From a difference to a significance map that its noise accounts for."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.compiled import compiled
from streamdiff.imaging.places import places_in
from streamdiff.imaging.significance import significances
from streamdiff.model import UNUSABLE, Difference, MaskPlane, Noise
from streamdiff.model.planes import read_only
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
    measured = _Measured.of(raw, difference.mask)
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Measured:
    """Where the noise of a map can be told: where it has a value.

    Beside holes the variance is that of what is filled in: next to nothing is
    significant there, neither noise nor the stars. If possible, that is left out.
    """

    score: NDArray[np.float32]
    mask: NDArray[np.int32]
    doubted: np.int32

    @classmethod
    def of(cls, score: NDArray[np.float32], mask: NDArray[np.int32]) -> "_Measured":
        doubted = np.int32(_DOUBTED)
        n_known, n_clear = _count(read_only(score), read_only(mask), doubted)
        enough = n_clear >= _MIN_CLEAR * n_known
        return cls(score=score, mask=mask, doubted=doubted if enough else np.int32(0))

    def __getitem__(self, part: Any) -> NDArray[np.bool_]:  # noqa: ANN401
        """Return it for some pixels, as a plane of bools does."""
        measured: NDArray[np.bool_] = self.score[part] != 0
        measured &= (self.mask[part] & self.doubted) == 0
        return measured


@compiled
def _count(
    score: NDArray[np.float32], mask: NDArray[np.int32], doubted: np.int32
) -> tuple[int, int]:
    """Return how many values there are, and how many without doubt."""
    n_known, n_clear = 0, 0
    for y in range(score.shape[0]):
        for x in range(score.shape[1]):
            known = score[y, x] != 0
            n_known += known
            n_clear += known & ((mask[y, x] & doubted) == 0)
    return n_known, n_clear


def _significances(
    difference: Difference, rules: ScoreRules
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the significance of the difference, and that of the stars under it.

    The latter is nobody else's: another map will be made in its place.
    """
    if difference.score is None:
        found = _filtered(difference, rules)
    else:
        maps = difference.score, difference.template_score
        found = [_cleared(p, difference.mask) for p in maps if p is not None]
    raw, stars = found if len(found) > 1 else (*found, np.zeros_like(found[0]))
    return raw, stars.copy() if stars is difference.template_score else stars


def _filtered(difference: Difference, rules: ScoreRules) -> list[NDArray[np.float32]]:
    template = difference.matched_template
    found = significances(
        difference,
        () if template is None else (template,),
        exclude=rules.exclude,
        min_power=rules.min_power,
    )
    no_data = places_in(difference.mask, MaskPlane.NO_DATA)
    for plane in found:  # finite, and nobody else's
        plane[no_data] = 0
    return found


def _cleared(
    plane: NDArray[np.float32], mask: NDArray[np.int32]
) -> NDArray[np.float32]:
    """Return a map that is finite, and 0 where there are no data; itself if it is."""
    no_data = np.int32(MaskPlane.NO_DATA)
    if _is_clear(read_only(plane), mask, no_data):
        return plane
    known = np.isfinite(plane) & ~MaskPlane.NO_DATA.in_mask(mask)
    return np.where(known, plane, np.float32(0))


@compiled
def _is_clear(
    plane: NDArray[np.float32], mask: NDArray[np.int32], no_data: np.int32
) -> bool:
    for y in range(plane.shape[0]):
        n_wrong = 0
        for x in range(plane.shape[1]):
            value = plane[y, x]
            wrong = ((mask[y, x] & no_data) != 0) & (value != 0)
            n_wrong += wrong | (not np.isfinite(value))
        if n_wrong:
            return False
    return True
