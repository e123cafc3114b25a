"""Lanczos resampling of image, variance and mask in one pass."""

from dataclasses import dataclass
from functools import cache
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.compiled import compiled, inlined
from streamdiff.imaging.lanczos import lanczos, weigh, weight_table
from streamdiff.imaging.pixel_map import PixelMap
from streamdiff.model import MaskPlane
from streamdiff.model.planes import read_only

# Largest share of the summed absolute weights that may fall on missing pixels.
MAX_LOST_WEIGHT = 0.05
# A neighbour nearer than this to zero weight does not lend its mask bits.
CORE_MARGIN = 0.05

Scalar = TypeVar("Scalar", bound=np.generic)

Float = np.float32
Plane: TypeAlias = NDArray[np.float32]
Bits: TypeAlias = NDArray[np.int32]
Flags: TypeAlias = NDArray[np.bool_]

_NO_DATA = int(MaskPlane.NO_DATA)
_INTERPOLATED = int(MaskPlane.INTRP)


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
    rows, columns = _needed(pixel_map, planes.image.shape, order)
    planes = _part(planes, rows, columns)
    # Read-only as the planes of an exposure are: one signature to be compiled.
    factor = np.asarray(planes.covariance_factor, np.float32)
    factor = read_only(np.atleast_2d(factor))
    missing = _missing(planes)
    area = pixel_map.area
    image = np.zeros(shape, np.float32)
    variance = np.full(shape, np.inf, np.float32)
    mask = np.full(shape, _NO_DATA, np.int32)
    out_factor = np.ones(shape, np.float32)
    _lanczos(
        planes.image,
        planes.variance,
        planes.mask,
        missing,
        _incomplete(missing, order),
        factor,
        np.stack(
            [
                pixel_map.x - columns.start,
                pixel_map.y - rows.start,
                area,
                _aliased_power(area, order),
            ]
        ),
        pixel_map.step,
        weight_table(order),
        (0,) * (2 * order),
        image,
        variance,
        mask,
        out_factor,
    )
    return Planes(
        image=image, variance=variance, mask=mask, covariance_factor=out_factor
    )


def _needed(
    pixel_map: PixelMap, shape: tuple[int, ...], order: int
) -> tuple[slice, slice]:
    """Return rows and columns of the old pixels that new ones are made of.

    One at least, also where there are none.
    """
    parts = []
    for positions, size in zip((pixel_map.y, pixel_map.x), shape, strict=True):
        known = positions[np.isfinite(positions)]
        low, high = (known.min(), known.max()) if known.size else (0.0, 0.0)
        first = int(np.clip(np.floor(low) - order, 0, size - 1))
        end = int(np.clip(np.ceil(high) + order + 1, first + 1, size))
        parts.append(slice(first, end))
    return parts[0], parts[1]


def _part(planes: Planes, rows: slice, columns: slice) -> Planes:
    def part(plane: NDArray[Scalar]) -> NDArray[Scalar]:
        return read_only(np.ascontiguousarray(plane[rows, columns]))

    factor = planes.covariance_factor
    return Planes(
        image=part(planes.image),
        variance=part(planes.variance),
        mask=part(planes.mask),
        covariance_factor=part(factor) if isinstance(factor, np.ndarray) else factor,
    )


def _missing(planes: Planes) -> NDArray[np.bool_]:
    measured = np.isfinite(planes.image) & np.isfinite(planes.variance)
    damaged = (MaskPlane.BAD | MaskPlane.CR).in_mask(planes.mask)
    damaged &= ~MaskPlane.INTRP.in_mask(planes.mask)
    return ~measured | damaged | MaskPlane.NO_DATA.in_mask(planes.mask)


def _incomplete(missing: NDArray[np.bool_], order: int) -> NDArray[np.bool_]:
    """Return where the kernel around (x, y)..(x + 1, y + 1) meets a missing pixel."""
    incomplete = np.ones(missing.shape, np.bool_)
    incomplete[order - 1 : -order, order - 1 : -order] = False
    _mark(missing, incomplete, order)
    return incomplete


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
def _mark(missing: Flags, incomplete: Flags, order: int) -> None:
    """Mark what is around missing pixels; around those at the edge of many, for all."""
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


@compiled
def _lanczos(
    image: Plane,
    variance: Plane,
    mask: Bits,
    missing: Flags,
    incomplete: Flags,
    factor: Plane,
    nodes: NDArray[np.float64],
    step: int,
    table: Plane,
    taps: tuple[int, ...],
    out_image: Plane,
    out_variance: Plane,
    out_mask: Bits,
    out_factor: Plane,
) -> None:
    """Fill the four output planes.

    ``nodes`` holds x, y, area and aliased power. Only the length of ``taps``
    counts: the compiler knows it, and unrolls the loops over the kernel.
    """
    height, width = image.shape
    before = len(taps) // 2 - 1
    wx, wy = np.empty(len(taps), Float), np.empty(len(taps), Float)
    line = np.empty(nodes.shape[::2])
    for row in range(out_image.shape[0]):
        j, v = row // step, (row % step) / step
        line[:] = (1 - v) * nodes[:, j] + v * nodes[:, j + 1]
        for column in range(out_image.shape[1]):
            i, u = column // step, (column % step) / step
            x = (1 - u) * line[0, i] + u * line[0, i + 1]
            y = (1 - u) * line[1, i] + u * line[1, i + 1]
            if not (0 <= x + 0.5 <= width and 0 <= y + 0.5 <= height):
                continue
            x0, y0 = int(np.floor(x)), int(np.floor(y))
            weigh(table, x - x0, taps, wx)
            weigh(table, y - y0, taps, wy)
            left, top = x0 - before, y0 - before
            if x0 >= 0 and y0 >= 0 and not incomplete[y0, x0]:
                flux, noise, squares = _whole_sum(
                    image, variance, left, top, wx, wy, taps
                )
                bits = 0
            else:
                flux, noise, squares = _partial_sum(
                    image, variance, missing, left, top, wx, wy, taps
                )
                bits = _INTERPOLATED
            if squares == 0:
                continue
            area = (1 - u) * line[2, i] + u * line[2, i + 1]
            folded = (1 - u) * line[3, i] + u * line[3, i + 1]
            out_image[row, column] = flux * area
            out_variance[row, column] = noise * area * area
            out_mask[row, column] = (bits | _nearby_bits(mask, x, y)) & ~_NO_DATA
            local = factor[
                min(max(int(y + 0.5), 0), factor.shape[0] - 1),
                min(max(int(x + 0.5), 0), factor.shape[1] - 1),
            ]
            out_factor[row, column] = local * folded / (area * squares)


@inlined
def _whole_sum(
    image: Plane,
    variance: Plane,
    left: int,
    top: int,
    wx: Plane,
    wy: Plane,
    taps: tuple[int, ...],
) -> tuple[np.float32, np.float32, np.float32]:
    """Return sum(w I), sum(w^2 V) and sum(w^2)."""
    flux, noise, sx, sy = Float(0), Float(0), Float(0), Float(0)
    for m in range(len(taps)):
        row_flux, row_noise = Float(0), Float(0)
        for k in range(len(taps)):
            row_flux += wx[k] * image[top + m, left + k]
            row_noise += wx[k] * wx[k] * variance[top + m, left + k]
        flux += wy[m] * row_flux
        noise += wy[m] * wy[m] * row_noise
        sx += wx[m] * wx[m]
        sy += wy[m] * wy[m]
    return flux, noise, sx * sy


@inlined
def _partial_sum(
    image: Plane,
    variance: Plane,
    missing: Flags,
    left: int,
    top: int,
    wx: Plane,
    wy: Plane,
    taps: tuple[int, ...],
) -> tuple[np.float32, np.float32, np.float32]:
    """Return the sums of `_whole_sum` without missing pixels; 0 if too many are."""
    flux, noise, squares = Float(0), Float(0), Float(0)
    kept, absolute, lost = Float(0), Float(0), Float(0)
    for m in range(len(taps)):
        y = top + m
        for k in range(len(taps)):
            x = left + k
            weight = wy[m] * wx[k]
            absolute += abs(weight)
            inside = 0 <= y < image.shape[0] and 0 <= x < image.shape[1]
            if not inside or missing[y, x]:
                lost += abs(weight)
            else:
                kept += weight
                flux += weight * image[y, x]
                noise += weight * weight * variance[y, x]
                squares += weight * weight
    if lost > MAX_LOST_WEIGHT * absolute:
        return Float(0), Float(0), Float(0)
    return flux / kept, noise / (kept * kept), squares / (kept * kept)


@inlined
def _nearby_bits(mask: Bits, x: float, y: float) -> int:
    """Return the bits of the up to four pixels around a position."""
    height, width = mask.shape
    left = min(max(int(x + CORE_MARGIN), 0), width - 1)
    right = min(max(int(x + 1 - CORE_MARGIN), 0), width - 1)
    top = min(max(int(y + CORE_MARGIN), 0), height - 1)
    bottom = min(max(int(y + 1 - CORE_MARGIN), 0), height - 1)
    upper: int = mask[top, left] | mask[top, right]
    lower: int = mask[bottom, left] | mask[bottom, right]
    return upper | lower
