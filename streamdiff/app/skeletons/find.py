"""Peaks of the significance: a beginning."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from annotated_types import Gt
from scipy import ndimage

from streamdiff.hookspecs import hookimpl
from streamdiff.imaging.significance import significance
from streamdiff.model import (
    DETECTION_COLUMNS,
    UNUSABLE,
    DiaSources,
    Difference,
    MaskPlane,
)
from streamdiff.stages import SourceFinder


@dataclass(frozen=True, slots=True, kw_only=True)
class Mine:
    """Finds the highest pixels of the significance, of either sign.

    Attributes
    ----------
    threshold : float
        Least significance of a DiaSource [sigma].
    reach : int
        Peaks are the highest within so many columns and rows [pixel].
    """

    threshold: Annotated[float, Gt(0)] = 5.0
    reach: Annotated[int, Gt(0)] = 4

    def find(self, difference: Difference) -> tuple[Difference, DiaSources]:
        """Return the difference with its score and detection mask, and the peaks."""
        score = difference.score
        if score is None:
            score = significance(difference, exclude=UNUSABLE)
        height = np.abs(score)
        highest = ndimage.maximum_filter(height, size=2 * self.reach + 1)
        above = height > self.threshold
        is_peak = above & (height == highest) & ~UNUSABLE.in_mask(difference.mask)
        row, column = np.nonzero(is_peak)
        is_negative = score[row, column] < 0
        labels, _ = ndimage.label(above)
        areas = np.bincount(labels.ravel())[labels[row, column]]
        values = {
            "x": column,
            "y": row,
            "snr": height[row, column],
            "isNegative": is_negative,
            "bboxSize": np.ceil(np.sqrt(areas)),
            "footprintArea": areas,
        }
        detected = np.where(
            score > 0, MaskPlane.DETECTED, MaskPlane.DETECTED_NEGATIVE
        ).astype(np.int32)
        mask = np.where(above, difference.mask | detected, difference.mask)
        searched = replace(difference, score=score, mask=mask)
        return searched, DiaSources(DETECTION_COLUMNS, values)


@hookimpl
def streamdiff_source_finders() -> Mapping[str, Callable[..., SourceFinder]]:
    """Offer ``mine``."""
    return {"mine": Mine}
