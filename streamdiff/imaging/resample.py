"""Lanczos resampling of image, variance and mask in one pass."""

from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.compiled import compiled
from streamdiff.imaging.lanczos import lanczos, weight_polynomials
from streamdiff.imaging.lanczos_rows import fill_rows
from streamdiff.imaging.mapped_pages import let_go_of_pages
from streamdiff.imaging.pixel_map import PixelMap
from streamdiff.imaging.strips import in_strips
from streamdiff.model import MaskPlane
from streamdiff.model.planes import read_only

Plane: TypeAlias = NDArray[np.float32]
Bits: TypeAlias = NDArray[np.int32]
Flags: TypeAlias = NDArray[np.bool_]

_NO_DATA = int(MaskPlane.NO_DATA)
_INTERPOLATED = int(MaskPlane.INTRP)
_DAMAGED = int(MaskPlane.BAD | MaskPlane.CR)
# New rows that are made together: what they need of the old ones is all that is kept
# in memory of planes that are mapped from a file.
_BAND = 128


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Planes:
    """The planes of an exposure, without what says where they are.

    Attributes
    ----------
    image, variance : ndarray of float32, shape (ny, nx)
    mask : ndarray of int32, shape (ny, nx)
    covariance_factor : float or ndarray of float32, shape (ny, nx)
        See `streamdiff.model.Exposure`.
    """

    image: NDArray[np.float32]
    variance: NDArray[np.float32]
    mask: NDArray[np.int32]
    covariance_factor: float | NDArray[np.float32] = 1.0

    def arrays(self) -> tuple[Plane, Plane, Bits, Plane]:
        """Return the planes as compiled loops take them.

        Read-only and contiguous, whatever is given: one signature to be compiled. A
        covariance factor that is a number has the shape (1, 1).
        """
        factor = np.atleast_2d(np.asarray(self.covariance_factor, np.float32))
        image, variance, mask, factor = (
            read_only(np.ascontiguousarray(plane))
            for plane in (self.image, self.variance, self.mask, factor)
        )
        return image, variance, mask, factor


def resample(
    planes: Planes, pixel_map: PixelMap, shape: tuple[int, int], *, order: int = 3
) -> Planes:
    """Return planes on other pixels, the flux of every source kept.

    Parameters
    ----------
    planes : Planes
    pixel_map : PixelMap
        Where the new pixels are on the old ones.
    shape : tuple of int
        (height, width) of the result.
    order : int
        Zero crossings of the kernel on either side, 2 to 5.

    Returns
    -------
    Planes
        Image 0, variance infinite and NO_DATA where there is no data. The mask
        holds the bits of the pixels around the position, INTRP where a part of
        the kernel fell on missing pixels.

    Notes
    -----
    Missing are pixels without data, and those marked BAD or CR whose value was not
    interpolated. They have no weight, and the others are renormalised, as long as
    no more than 5 % of the absolute weights are lost.

    A new pixel is the interpolated surface brightness times its area J in old
    pixels; its variance is J^2 sum(w^2) times that of the old. The noise power at
    zero frequency is J times that of the old pixels, hence the covariance factor
    grows by 1 / (J sum(w^2)), and by what is aliased where pixels get larger.
    Nothing is averaged: pixels several times larger than the old ones would be
    samples of the sky rather than sums.

    Cost: three planes of 4096^2 pixels in about a second.
    """
    old = planes.arrays()
    area = pixel_map.area
    nodes = np.stack([pixel_map.x, pixel_map.y, area, _aliased_power(area, order)])
    image, variance, out_factor = (np.empty(shape, np.float32) for _ in range(3))
    mask = np.empty(shape, np.int32)

    def fill(strip: slice) -> None:
        for start in range(strip.start, strip.stop, _BAND):
            stop = min(start + _BAND, strip.stop)
            box = _needed(pixel_map, old[0].shape, (start, stop), order)
            fill_rows(
                old,
                *_missing_in(box, old, order),
                box[::2],
                nodes,
                pixel_map.step,
                weight_polynomials(order),
                (0,) * (2 * order),
                (start, stop),
                (image, variance, mask, out_factor),
            )
            let_go_of_pages(*old)

    in_strips(fill, shape[0])
    return Planes(
        image=image, variance=variance, mask=mask, covariance_factor=out_factor
    )


def _needed(
    pixel_map: PixelMap, shape: tuple[int, ...], rows: tuple[int, int], order: int
) -> tuple[int, int, int, int]:
    """Return which old pixels new rows need, one at least.

    First row, row after the last, and columns.
    """
    nodes = slice(rows[0] // pixel_map.step, (rows[1] - 1) // pixel_map.step + 2)
    limits: list[int] = []
    for all_positions, size in zip((pixel_map.y, pixel_map.x), shape, strict=True):
        positions = all_positions[nodes]
        known = positions[np.isfinite(positions)]
        low, high = (known.min(), known.max()) if known.size else (0.0, 0.0)
        first = int(np.clip(np.floor(low) - order, 0, size - 1))
        limits += [first, int(np.clip(np.ceil(high) + order + 1, first + 1, size))]
    top, bottom, left, right = limits
    return top, bottom, left, right


def _missing_in(
    box: tuple[int, int, int, int], old: tuple[Plane, Plane, Bits, Plane], order: int
) -> tuple[Flags, Flags]:
    """Return which pixels of a box are missing, and where kernels meet such ones."""
    top, bottom, left, right = box
    missing = np.empty((bottom - top, right - left), np.bool_)
    incomplete = np.ones_like(missing)
    _find_missing(*old[:3], box, missing)
    _mark_incomplete(missing, old[0].shape, box, order, incomplete)
    return missing, incomplete


def _aliased_power(area: NDArray[np.float64], order: int) -> NDArray[np.float64]:
    """Return the noise power at zero frequency after sampling, over that before."""
    s = np.sqrt(np.nan_to_num(area, nan=1.0))
    folded: NDArray[np.float64] = np.where(s > 1, np.interp(s, *_aliasing(order)), 1)
    return folded


@cache
def _aliasing(order: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return sampling distances [pixel], and the power that each folds onto zero.

    Sampling at a distance s folds the frequencies k / s onto zero. The kernel
    has removed them where s <= 1.
    """
    x = np.linspace(-order, order, 512 * order + 1)
    kernel = lanczos(x, order)
    spacing = np.linspace(1, 8, 141)
    k = np.arange(1, 9)[:, np.newaxis, np.newaxis]
    response = (kernel * np.cos(2 * np.pi * k / spacing[:, np.newaxis] * x)).sum(2)
    power = (1 + 2 * np.square(response / kernel.sum()).sum(0)) ** 2
    return spacing, power


@compiled
def _find_missing(
    image: Plane,
    variance: Plane,
    mask: Bits,
    box: tuple[int, int, int, int],
    missing: Flags,
) -> None:
    """Fill in which pixels of a box are missing."""
    top, bottom, left, right = box
    for row in range(top, bottom):
        for column in range(left, right):
            bits = mask[row, column]
            measured = np.isfinite(image[row, column])
            measured &= np.isfinite(variance[row, column])
            damaged = (bits & _DAMAGED) != 0 and (bits & _INTERPOLATED) == 0
            missing[row - top, column - left] = (
                not measured or damaged or (bits & _NO_DATA) != 0
            )


@compiled
def _mark_incomplete(
    missing: Flags,
    shape: tuple[int, int],
    box: tuple[int, int, int, int],
    order: int,
    incomplete: Flags,
) -> None:
    """Fill in where the kernel around (x, y)..(x + 1, y + 1) meets a missing pixel.

    All that surrounds a missing pixel is marked by those at the edge of many. Beyond
    the image of this shape everything is missing, beyond the box nothing is known.
    """
    top, bottom, left, right = box
    incomplete[
        max(order - 1 - top, 0) : max(min(bottom, shape[0] - order) - top, 0),
        max(order - 1 - left, 0) : max(min(right, shape[1] - order) - left, 0),
    ] = False
    height, width = missing.shape
    for row in range(height):
        for column in range(width):
            if not missing[row, column]:
                continue
            incomplete[row, column] = True
            if (
                missing[max(row - 1, 0), column]
                and missing[min(row + 1, height - 1), column]
                and missing[row, max(column - 1, 0)]
                and missing[row, min(column + 1, width - 1)]
            ):
                continue
            for y in range(max(row - order, 0), min(row + order, height)):
                for x in range(max(column - order, 0), min(column + order, width)):
                    incomplete[y, x] = True
