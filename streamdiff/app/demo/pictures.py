"""Pictures of what was found and missed: science, template, difference, score."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from streamdiff.app.pages.pictures import Pixels, gray, row_png

SIDE = 41
# The panel of the score spans this significance to both sides.
SCORE_RANGE = 10.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VisitImages:
    """The images of one visit, on the same pixels.

    Attributes
    ----------
    science, template, difference, score : ndarray of float64, shape (ny, nx)
    """

    science: NDArray[np.float64]
    template: NDArray[np.float64]
    difference: NDArray[np.float64]
    score: NDArray[np.float64]

    @classmethod
    def read(cls, difference: Path) -> "VisitImages":
        """Return the images of a difference file.

        The science image is what its parts add up to.
        """
        with fits.open(difference) as hdus:
            image, template, score = (
                np.nan_to_num(np.asarray(hdus[name].data, float))
                for name in ("IMAGE", "MATCHED_TEMPLATE", "SCORE")
            )
        return cls(
            science=image + template, template=template, difference=image, score=score
        )

    def around(self, x: float, y: float) -> bytes:
        """Return the four panels around a position, side by side, as PNG."""
        return row_png(self.panels(x, y))

    def panels(self, x: float, y: float) -> list[Pixels]:
        """Return science, template, difference and score around a position.

        Each is `SIDE` px wide; the first row is at the bottom.
        """
        science, template, difference, score = (
            _stamp(plane, x, y)
            for plane in (self.science, self.template, self.difference, self.score)
        )
        low, high = np.percentile(template, 2), np.percentile(science, 99.5)
        spread = max(np.percentile(np.abs(difference), 99.5), 1e-30)
        return [
            gray(science, low, high),
            gray(template, low, high),
            gray(difference, -spread, spread),
            gray(score, -SCORE_RANGE, SCORE_RANGE),
        ]


def _stamp(plane: NDArray[np.float64], x: float, y: float) -> NDArray[np.float64]:
    column, row = round(x), round(y)
    return np.pad(plane, SIDE // 2)[row : row + SIDE, column : column + SIDE]
