"""Which mask planes a DiaSource touches."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from streamdiff.imaging.stamps import batches, nearest_pixels, pixels_around
from streamdiff.model import Column, DiaSources, MaskPlane
from streamdiff.stages import Images

# LSST's names of the planes.
_NAMES = {
    "bad": MaskPlane.BAD,
    "cr": MaskPlane.CR,
    "edge": MaskPlane.EDGE,
    "high_variance": MaskPlane.HIGH_VARIANCE,
    "injected": MaskPlane.INJECTED,
    "injected_template": MaskPlane.INJECTED_TEMPLATE,
    "interpolated": MaskPlane.INTRP,
    "nodata": MaskPlane.NO_DATA,
    "sat_template": MaskPlane.SAT_TEMPLATE,
    "saturated": MaskPlane.SAT,
    "streak": MaskPlane.STREAK,
    "suspect": MaskPlane.SUSPECT,
}
_COLUMNS = (
    Column("pixelFlags", "?", "", "Whether the flags could not be determined"),
    Column("pixelFlags_offimage", "?", "", "Whether x, y is off the image"),
    *(
        column
        for name, plane in _NAMES.items()
        for column in (
            Column(f"pixelFlags_{name}", "?", "", f"{plane.name} in the footprint"),
            Column(f"pixelFlags_{name}Center", "?", "", f"{plane.name} in the centre"),
        )
    ),
    Column(
        "pixelFlags_high_varianceCenterAll",
        "?",
        "",
        "HIGH_VARIANCE on every pixel of the centre",
    ),
)
_CENTRE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelFlags:
    """Mask planes in the footprint of a DiaSource, and in its central 3 x 3 pixels.

    Attributes
    ----------
    max_side : int
        Longest side of the square that stands for the footprint [pixel].
    """

    max_side: Annotated[int, Ge(3)] = 63

    @property
    def columns(self) -> tuple[Column, ...]:
        """Return the columns that `measure` fills."""
        return _COLUMNS

    def measure(
        self, sources: DiaSources, images: Images
    ) -> Mapping[str, NDArray[Any]]:
        """Return flags; the footprint is the square of its longer side."""
        x, y = sources["x"], sources["y"]
        side = np.clip(sources["bboxSize"], _CENTRE, self.max_side)
        around = _planes_around(images, x, y, side)
        centre = _planes_around(images, x, y, np.full(len(sources), _CENTRE))

        column, row = nearest_pixels(x, y)
        ny, nx = images.difference.shape
        values = {
            "pixelFlags": np.zeros(len(sources), bool),
            "pixelFlags_offimage": (
                (column < 0) | (column >= nx) | (row < 0) | (row >= ny)
            ),
        }
        for name, plane in _NAMES.items():
            values[f"pixelFlags_{name}"] = plane.in_mask(around)
            values[f"pixelFlags_{name}Center"] = plane.in_mask(centre)
        values["pixelFlags_high_varianceCenterAll"] = _fills_centre(
            MaskPlane.HIGH_VARIANCE, images.difference.mask, x, y
        )
        return values


def _fills_centre(
    plane: MaskPlane,
    mask: NDArray[np.int32],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Return whether a plane is on all central pixels that are on the image."""
    (rows, columns), inside = pixels_around(mask.shape, x, y, (_CENTRE, _CENTRE))
    full = plane.in_mask(mask[rows, columns]) | ~inside
    return np.asarray(full.all(axis=(1, 2)) & inside.any(axis=(1, 2)))


def _planes_around(
    images: Images,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    side: NDArray[np.int32],
) -> NDArray[np.int32]:
    """Return the planes of the difference, but SAT of the science image alone.

    Where the template is saturated, the difference is, too; SAT_TEMPLATE tells it.
    """
    planes = _planes_within(images.difference.mask, x, y, side)
    science = _planes_within(images.science.mask, x, y, side)
    saturated = np.int32(MaskPlane.SAT)
    merged: NDArray[np.int32] = (planes & ~saturated) | (science & saturated)
    return merged


def _planes_within(
    mask: NDArray[np.int32],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    side: NDArray[np.int32],
) -> NDArray[np.int32]:
    """Return the planes that occur in squares around positions; shape (n,)."""
    planes = np.zeros(len(x), np.int32)
    for part in batches(len(x)):
        reach = side[part] // 2
        largest = int(reach.max(initial=1))
        shape = 2 * largest + 1, 2 * largest + 1
        (rows, columns), inside = pixels_around(mask.shape, x[part], y[part], shape)
        distance = np.abs(np.arange(-largest, largest + 1))
        within = distance <= reach[:, np.newaxis]
        inside &= within[:, :, np.newaxis] & within[:, np.newaxis, :]
        found = np.where(inside, mask[rows, columns], 0)
        planes[part] = np.bitwise_or.reduce(found, axis=(1, 2))
    return planes
