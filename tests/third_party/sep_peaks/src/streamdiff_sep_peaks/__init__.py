"""Detection with sep, Source Extractor as a library (Barbary 2016, JOSS 1, 58)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import sep
from annotated_types import Ge, Gt
from numpy.typing import NDArray

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
class SepFinder:
    """Extracts connected pixels of the significance, of either sign.

    Attributes
    ----------
    threshold : float
        Least significance of a DiaSource [sigma].
    min_area : int
        Least number of connected pixels above it.
    """

    threshold: Annotated[float, Gt(0)] = 5.0
    min_area: Annotated[int, Ge(1)] = 1

    def find(self, difference: Difference) -> tuple[Difference, DiaSources]:
        """Return the difference with its score and detection mask, and the peaks."""
        score = difference.score
        if score is None:
            score = significance(difference, exclude=UNUSABLE)
        unusable = UNUSABLE.in_mask(difference.mask)
        mask = np.array(difference.mask)
        tables = []
        for is_negative, plane in (
            (False, MaskPlane.DETECTED),
            (True, MaskPlane.DETECTED_NEGATIVE),
        ):
            found, segments = self._extract(-score if is_negative else score, unusable)
            mask[segments > 0] |= np.int32(plane)
            tables.append(_table(found, is_negative=is_negative))
        sources = tables[0].joined(tables[1])
        order = np.lexsort((sources["x"], sources["y"]))
        return replace(difference, score=score, mask=mask), sources.take(order)

    def _extract(
        self, score: NDArray[np.float32], unusable: NDArray[np.bool_]
    ) -> tuple[NDArray[np.void], NDArray[np.int32]]:
        found, segments = sep.extract(
            np.ascontiguousarray(score, np.float32),
            self.threshold,
            mask=np.array(unusable),
            minarea=self.min_area,
            filter_kernel=None,
            deblend_cont=0.05,
            clean=False,
            segmentation_map=True,
        )
        return found, segments


def _table(found: NDArray[np.void], *, is_negative: bool) -> DiaSources:
    sides = np.maximum(found["xmax"] - found["xmin"], found["ymax"] - found["ymin"])
    values = {
        "x": found["xpeak"],
        "y": found["ypeak"],
        "snr": found["peak"],
        "isNegative": np.full(len(found), is_negative),
        "bboxSize": sides + 1,
        "footprintArea": found["npix"],
    }
    return DiaSources(DETECTION_COLUMNS, values)


@hookimpl
def streamdiff_source_finders() -> Mapping[str, Callable[..., SourceFinder]]:
    """Offer ``sep_peaks``."""
    return {"sep_peaks": SepFinder}
