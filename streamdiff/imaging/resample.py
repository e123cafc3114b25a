"""Lanczos resampling of image, variance and mask in one pass."""

from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.compiled import compiled
from streamdiff.imaging.lanczos import lanczos, weight_polynomials
from streamdiff.imaging.lanczos_rows import fill_rows
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
    old_image, old_variance, bits, factor = planes.arrays()
    missing = np.ones(old_image.shape, np.bool_)
    incomplete = np.ones(old_image.shape, np.bool_)
    needed = _needed(pixel_map, old_image.shape, order)
    _find_missing(old_image, old_variance, bits, needed, missing)
    _mark_incomplete(missing, needed, order, incomplete)
    area = pixel_map.area
    nodes = np.stack([pixel_map.x, pixel_map.y, area, _aliased_power(area, order)])
    image, variance, out_factor = (np.empty(shape, np.float32) for _ in range(3))
    mask = np.empty(shape, np.int32)

    def fill(rows: slice) -> None:
        fill_rows(
            (old_image, old_variance, bits, factor),
            missing,
            incomplete,
            nodes,
            pixel_map.step,
            weight_polynomials(order),
            (0,) * (2 * order),
            (rows.start, rows.stop),
            (image, variance, mask, out_factor),
        )

    in_strips(fill, shape[0])
    return Planes(
        image=image, variance=variance, mask=mask, covariance_factor=out_factor
    )


def _needed(
    pixel_map: PixelMap, shape: tuple[int, ...], order: int
) -> tuple[int, int, int, int]:
    """Return first row, row after the last, and columns, of the old pixels needed.

    One at least, also where there are none.
    """
    limits: list[int] = []
    for positions, size in zip((pixel_map.y, pixel_map.x), shape, strict=True):
        known = positions[np.isfinite(positions)]
        low, high = (known.min(), known.max()) if known.size else (0.0, 0.0)
        first = int(np.clip(np.floor(low) - order, 0, size - 1))
        limits += [first, int(np.clip(np.ceil(high) + order + 1, first + 1, size))]
    top, bottom, left, right = limits
    return top, bottom, left, right


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
    needed: tuple[int, int, int, int],
    missing: Flags,
) -> None:
    """Fill in which of the needed pixels are missing."""
    top, bottom, left, right = needed
    for row in range(top, bottom):
        for column in range(left, right):
            bits = mask[row, column]
            measured = np.isfinite(image[row, column])
            measured &= np.isfinite(variance[row, column])
            damaged = (bits & _DAMAGED) != 0 and (bits & _INTERPOLATED) == 0
            missing[row, column] = not measured or damaged or (bits & _NO_DATA) != 0


@compiled
def _mark_incomplete(
    missing: Flags, needed: tuple[int, int, int, int], order: int, incomplete: Flags
) -> None:
    """Fill in where the kernel around (x, y)..(x + 1, y + 1) meets a missing pixel.

    All that surrounds a missing pixel is marked by those at the edge of many.
    """
    height, width = missing.shape
    top, bottom, left, right = needed
    incomplete[
        max(top, order - 1) : min(bottom, height - order),
        max(left, order - 1) : min(right, width - order),
    ] = False
    for row in range(top, bottom):
        for column in range(left, right):
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
