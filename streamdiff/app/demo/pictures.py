"""Pictures of what was found and missed: science, template, difference, score."""

from base64 import b64encode
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from astropy.io import fits
from matplotlib import colormaps
from matplotlib.image import imsave
from numpy.typing import NDArray

SIDE = 41
ENLARGED = 3
GAP = 4
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
        science, template, difference, score = (
            _stamp(plane, x, y)
            for plane in (self.science, self.template, self.difference, self.score)
        )
        low, high = np.percentile(template, 2), np.percentile(science, 99.5)
        spread = max(np.percentile(np.abs(difference), 99.5), 1e-30)
        panels = (
            _gray(science, low, high),
            _gray(template, low, high),
            _gray(difference, -spread, spread),
            _gray(score, -SCORE_RANGE, SCORE_RANGE),
        )
        return _png(np.hstack([_framed(panel) for panel in panels]))


def data_uri(png: bytes) -> str:
    """Return a picture as text that a page can hold."""
    return f"data:image/png;base64,{b64encode(png).decode()}"


def _stamp(plane: NDArray[np.float64], x: float, y: float) -> NDArray[np.float64]:
    column, row = round(x), round(y)
    return np.pad(plane, SIDE // 2)[row : row + SIDE, column : column + SIDE]


def _gray(stamp: NDArray[np.float64], low: float, high: float) -> NDArray[np.uint8]:
    scaled = np.clip((stamp - low) / max(high - low, 1e-30), 0, 1)
    gray: NDArray[np.uint8] = colormaps["gray"](scaled, bytes=True)[..., :3]
    return gray


def _framed(panel: NDArray[np.uint8]) -> NDArray[np.uint8]:
    large = panel.repeat(ENLARGED, axis=0).repeat(ENLARGED, axis=1)
    return np.pad(large, ((0, 0), (0, GAP), (0, 0)), constant_values=255)


def _png(pixels: NDArray[np.uint8]) -> bytes:
    buffer = BytesIO()
    imsave(buffer, pixels, origin="lower")
    return buffer.getvalue()
