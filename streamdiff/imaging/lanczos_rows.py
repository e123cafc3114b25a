"""Lanczos resampling, row by row, of image, variance, mask and covariance factor."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.compiled import compiled, inlined
from streamdiff.imaging.lanczos_sums import (
    ABREAST,
    LANES,
    PITCH,
    WORTHWHILE,
    Flags,
    Float,
    Indices,
    Plane,
    count_whole,
    sum_abreast,
    sum_partial,
    sum_whole,
    weigh_lanes,
)
from streamdiff.model import MaskPlane

# A neighbour nearer than this to zero weight does not lend its mask bits.
CORE_MARGIN = 0.05

Bits: TypeAlias = NDArray[np.int32]

_NO_DATA = int(MaskPlane.NO_DATA)
_INTERPOLATED = int(MaskPlane.INTRP)


@compiled
def fill_rows(
    source: tuple[Plane, Plane, Bits, Plane],
    missing: Flags,
    incomplete: Flags,
    corner: tuple[int, int],
    nodes: NDArray[np.float64],
    step: int,
    polynomials: Plane,
    taps: tuple[int, ...],
    rows: tuple[int, int],
    target: tuple[Plane, Plane, Bits, Plane],
) -> None:
    """Fill rows of the four target planes.

    ``missing`` and ``incomplete`` begin at the corner (row, column). ``nodes`` holds
    x, y, area and aliased power. Only the length of ``taps`` counts: the compiler
    knows it, and unrolls the loops over the kernel.
    """
    line = np.empty(nodes.shape[::2])
    at = np.empty((len(nodes), LANES))
    left, top = np.empty(LANES, np.int64), np.empty(LANES, np.int64)
    phase = np.empty(LANES, Float)
    wx, wy = np.zeros(len(taps) * PITCH, Float), np.zeros(len(taps) * PITCH, Float)
    sums = np.empty((3, PITCH), Float)  # w I, w^2 V, w^2
    bits = np.empty(LANES, np.int32)
    width = target[0].shape[1]
    for row in range(*rows):
        j, v = row // step, (row % step) / step
        line[:] = (1 - v) * nodes[:, j] + v * nodes[:, j + 1]
        for start in range(0, width, LANES):
            n = min(LANES, width - start)
            _place(line, step, start, at)
            weigh_lanes(polynomials, at[0], taps, phase, left, wx)
            weigh_lanes(polynomials, at[1], taps, phase, top, wy)
            _sum_lanes(
                source,
                missing,
                incomplete,
                corner,
                at,
                n,
                left,
                top,
                wx,
                wy,
                taps,
                sums,
                bits,
            )
            _write_lanes(at, sums, bits, source[3], row, start, n, target)


@inlined
def _place(
    line: NDArray[np.float64], step: int, start: int, at: NDArray[np.float64]
) -> None:
    """Fill what the pixels of a row interpolate from the nodes beside them."""
    for first in range(0, LANES, step):
        i = min((start + first) // step, line.shape[1] - 2)
        for m in range(len(line)):
            value, slope = line[m, i], (line[m, i + 1] - line[m, i]) / step
            for k in range(step):
                at[m, first + k] = value + k * slope


@inlined
def _sum_lanes(
    source: tuple[Plane, Plane, Bits, Plane],
    missing: Flags,
    incomplete: Flags,
    corner: tuple[int, int],
    at: NDArray[np.float64],
    n: int,
    left: Indices,
    top: Indices,
    wx: Plane,
    wy: Plane,
    taps: tuple[int, ...],
    sums: Plane,
    bits: Bits,
) -> None:
    """Fill the sums and the bits of n pixels; sums of 0 where there is no data."""
    image, variance, mask, _ = source
    height, width = image.shape
    before = len(taps) // 2 - 1
    i = 0
    while i < n:
        x, y = left[i] - before, top[i] - before
        n_whole = count_whole(left, top, incomplete, corner, i, n)
        end = i + max(n_whole, 1)
        if n_whole >= WORTHWHILE and x + n_whole + ABREAST + len(taps) <= width:
            sum_abreast(image, variance, x, y, i, n_whole, wx, wy, taps, sums)
        elif n_whole:
            for k in range(n_whole):
                sum_whole(image, variance, x + k, y, i + k, wx, wy, taps, sums)
        elif 0 <= at[0, i] + 0.5 <= width and 0 <= at[1, i] + 0.5 <= height:
            sum_partial(image, variance, missing, corner, x, y, i, wx, wy, taps, sums)
        else:
            sums[:, i] = 0
        interpolated = 0 if n_whole else _INTERPOLATED
        while i < end:
            bits[i] = interpolated | _nearby_bits(mask, at[0, i], at[1, i])
            i += 1


@inlined
def _write_lanes(
    at: NDArray[np.float64],
    sums: Plane,
    bits: Bits,
    factor: Plane,
    row: int,
    start: int,
    n: int,
    target: tuple[Plane, Plane, Bits, Plane],
) -> None:
    """Fill n pixels of a row of the target planes."""
    image, variance, mask, out_factor = target
    height, width = factor.shape
    for k in range(n):
        x, y, area, folded = at[0, k], at[1, k], at[2, k], at[3, k]
        flux, noise, squares = sums[0, k], sums[1, k], sums[2, k]
        known = squares > 0
        local = factor[
            min(max(int(y + 0.5), 0), height - 1), min(max(int(x + 0.5), 0), width - 1)
        ]
        column = start + k
        image[row, column] = flux * area if known else 0
        variance[row, column] = noise * area * area if known else np.inf
        mask[row, column] = bits[k] & ~_NO_DATA if known else _NO_DATA
        out_factor[row, column] = local * folded / (area * squares) if known else 1


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
