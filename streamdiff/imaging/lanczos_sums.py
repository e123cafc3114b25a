"""Sums over the pixels below a Lanczos kernel, for pixels of a row together.

Weights are kept pixel of the kernel by pixel of the kernel, so that those of targets
side by side lie side by side, too: then the compiler makes vectors of targets, whose
kernels lie side by side on the source wherever it is hardly turned.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.compiled import inlined

# Pixels of a row that are weighed together; a multiple of every step of a pixel map.
LANES = 128
# Pixels that are summed side by side, and how many have to lie side by side for this
# to be faster than one after the other.
ABREAST = 16
WORTHWHILE = 4
# From the weights of one of the kernel's pixels to those of the next.
PITCH = LANES + ABREAST
# Largest share of the summed absolute weights that may fall on missing pixels.
MAX_LOST_WEIGHT = 0.05

Float = np.float32
Plane: TypeAlias = NDArray[np.float32]
Flags: TypeAlias = NDArray[np.bool_]
Indices: TypeAlias = NDArray[np.int64]


@inlined
def weigh_lanes(
    polynomials: Plane,
    position: NDArray[np.float64],
    taps: tuple[int, ...],
    phase: Plane,
    first: Indices,
    weights: Plane,
) -> None:
    """Fill the pixels before positions, and the weights of those around them.

    Those of the kernel's pixel k are from ``k * PITCH`` on.
    """
    for i in range(LANES):
        before = np.floor(position[i])
        first[i] = int(before)
        phase[i] = Float(position[i] - before - 0.5)
    for k in range(len(taps)):
        # values of their own: the compiler keeps them in registers
        c0, c1, c2, c3, c4 = (
            polynomials[0, k],
            polynomials[1, k],
            polynomials[2, k],
            polynomials[3, k],
            polynomials[4, k],
        )
        c5, c6, c7, c8, c9 = (
            polynomials[5, k],
            polynomials[6, k],
            polynomials[7, k],
            polynomials[8, k],
            polynomials[9, k],
        )
        out = weights[k * PITCH : k * PITCH + LANES]
        for i in range(LANES):
            u = phase[i]
            high = c5 + u * (c6 + u * (c7 + u * (c8 + u * c9)))
            out[i] = c0 + u * (c1 + u * (c2 + u * (c3 + u * (c4 + u * high))))


@inlined
def count_whole(
    left: Indices,
    top: Indices,
    incomplete: Flags,
    corner: tuple[int, int],
    first: int,
    n: int,
) -> int:
    """Return how many pixels, from the first to n, have whole kernels side by side."""
    x, y = left[first] - corner[1], top[first] - corner[0]
    if not (0 <= x < incomplete.shape[1] and 0 <= y < incomplete.shape[0]):
        return 0
    n_beside = 0
    for i in range(first, min(n, first + incomplete.shape[1] - x)):
        beside = left[i] == left[first] + n_beside and top[i] == top[first]
        if not beside or incomplete[y, x + n_beside]:
            break
        n_beside += 1
    return n_beside


@inlined
def sum_abreast(
    image: Plane,
    variance: Plane,
    left: int,
    top: int,
    first: int,
    n: int,
    wx: Plane,
    wy: Plane,
    taps: tuple[int, ...],
    sums: Plane,
) -> None:
    """Fill the sums of pixels side by side, and of some after them with nonsense."""
    for done in range(0, n, ABREAST):
        i = first + done
        sums[:, i : i + ABREAST] = 0
        for m in range(len(taps)):
            _add_kernel_row(
                image[top + m, left + done :],
                variance[top + m, left + done :],
                wx[i:],
                wy[m * PITCH + i :],
                taps,
                sums[0, i:],
                sums[1, i:],
            )
        _square_weights(wx[i:], wy[i:], taps, sums[2, i:])


@inlined
def _add_kernel_row(
    values: Plane,
    variances: Plane,
    wx: Plane,
    wy: Plane,
    taps: tuple[int, ...],
    flux: Plane,
    noise: Plane,
) -> None:
    """Add what a line of the source adds; the compiler makes vectors of this."""
    for i in range(ABREAST):
        line_flux, line_noise = Float(0), Float(0)
        for k in range(len(taps)):
            weight = wx[k * PITCH + i]
            line_flux += weight * values[i + k]
            line_noise += weight * weight * variances[i + k]
        flux[i] += wy[i] * line_flux
        noise[i] += wy[i] * wy[i] * line_noise


@inlined
def _square_weights(
    wx: Plane, wy: Plane, taps: tuple[int, ...], squares: Plane
) -> None:
    for i in range(ABREAST):
        across, down = Float(0), Float(0)
        for k in range(len(taps)):
            across += wx[k * PITCH + i] * wx[k * PITCH + i]
            down += wy[k * PITCH + i] * wy[k * PITCH + i]
        squares[i] = across * down


@inlined
def sum_whole(
    image: Plane,
    variance: Plane,
    left: int,
    top: int,
    i: int,
    wx: Plane,
    wy: Plane,
    taps: tuple[int, ...],
    sums: Plane,
) -> None:
    """Fill the sums of one pixel."""
    # Column by column, so that a vector holds as many; no index can be negative.
    y, x = np.uintp(top), np.uintp(left)
    flux, noise, across, down = Float(0), Float(0), Float(0), Float(0)
    for k in range(len(taps)):
        column_flux, column_noise = Float(0), Float(0)
        for m in range(len(taps)):
            weight = wy[m * PITCH + i]
            column_flux += weight * image[y + np.uintp(m), x + np.uintp(k)]
            spread = variance[y + np.uintp(m), x + np.uintp(k)]
            column_noise += weight * weight * spread
        weight = wx[k * PITCH + i]
        flux += weight * column_flux
        noise += weight * weight * column_noise
        across += weight * weight
        down += wy[k * PITCH + i] * wy[k * PITCH + i]
    sums[0, i], sums[1, i], sums[2, i] = flux, noise, across * down


@inlined
def sum_partial(
    image: Plane,
    variance: Plane,
    missing: Flags,
    corner: tuple[int, int],
    left: int,
    top: int,
    i: int,
    wx: Plane,
    wy: Plane,
    taps: tuple[int, ...],
    sums: Plane,
) -> None:
    """Fill the sums of one pixel without missing ones; w^2 is 0 if too many are."""
    flux, noise, squares = Float(0), Float(0), Float(0)
    kept, absolute, lost = Float(0), Float(0), Float(0)
    for m in range(len(taps)):
        y = top + m
        for k in range(len(taps)):
            x = left + k
            weight = wy[m * PITCH + i] * wx[k * PITCH + i]
            absolute += abs(weight)
            inside = 0 <= y < image.shape[0] and 0 <= x < image.shape[1]
            if not inside or missing[y - corner[0], x - corner[1]]:
                lost += abs(weight)
            else:
                kept += weight
                flux += weight * image[y, x]
                noise += weight * weight * variance[y, x]
                squares += weight * weight
    if lost > MAX_LOST_WEIGHT * absolute:
        squares = Float(0)
    sums[0, i], sums[1, i], sums[2, i] = (
        flux / kept,
        noise / (kept * kept),
        squares / (kept * kept),
    )
