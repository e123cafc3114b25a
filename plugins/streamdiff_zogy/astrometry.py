"""The noise that errors of the registration add to the score.

Zackay, Ofek & Gal-Yam 2016, ApJ 830, 27, Eqs. 30-33.
"""

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.compiled import compiled, inlined


def corrected_significance(
    score: NDArray[np.float32],
    template_score: NDArray[np.float32],
    variance: NDArray[np.float32],
    sigma: tuple[float, float],
) -> NDArray[np.float32]:
    """Return a score over its standard deviation where stars are shifted at random.

    Parameters
    ----------
    score, template_score : ndarray of float32, shape (ny, nx)
        The score, and what of it was subtracted.
    variance : ndarray of float32, shape (ny, nx)
        Of the score, without shifts.
    sigma : tuple of float
        Scatter of the shifts from one image to the other along x and y [pixel].

    Returns
    -------
    ndarray of float32, shape (ny, nx)
        Significance [sigma]; 0 where there is no variance.

    Notes
    -----
    There are two departures from the paper. In place of the square of a derivative
    stands the product of those of both images. On static sources it is the same;
    but the noise of the two images is independent, so that it averages to nothing on
    blank sky, and a transient, which only one of them shows, does not hide itself.
    And there is the term of second order in the shift, a quarter of the mean square
    of its second derivative: it counts in the cores of bright stars, where the first
    derivative is 0.

    The shift is that of the images relative to each other: it counts once.
    """
    significance = np.empty(score.shape, np.float32)
    squares = np.square(np.array(sigma)).astype(np.float32)
    _divide(score, template_score, variance, squares, significance)
    return significance


@compiled
def _divide(
    score: NDArray[np.float32],
    template: NDArray[np.float32],
    variance: NDArray[np.float32],
    squares: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """Fill in the significance; the border pixels go on beyond the border."""
    height, width = out.shape
    # The five rows around one, each used for five: the new one replaces the oldest.
    a, b = np.empty((5, width + 4), np.float32), np.empty((5, width + 4), np.float32)
    of_a, of_b = np.empty((5, width), np.float32), np.empty((5, width), np.float32)
    total, zero = np.empty(width, np.float32), np.float32(0)
    shifted = squares[0] > 0 or squares[1] > 0
    for y in range(-4, height):
        if shifted:
            row, slot = min(max(y + 2, 0), height - 1), (y + 2) % 5
            _surround(template[row], b[slot])
            _surround(score[row], a[slot])
            a[slot] += b[slot]
        if y < 0:
            continue
        total[:] = variance[y]
        if shifted:
            _derive(a, y, of_a)
            _derive(b, y, of_b)
            _add_shifts(of_a, of_b, squares, total)
        for x in range(width):
            # Rounding of the transforms: no noise is where no variance was.
            known = total[x] > zero
            out[y, x] = score[y, x] / np.sqrt(total[x]) if known else zero


@inlined
def _surround(row: NDArray[np.float32], surrounded: NDArray[np.float32]) -> None:
    surrounded[2:-2] = row
    surrounded[:2] = row[0]
    surrounded[-2:] = row[-1]


@inlined
def _derive(rows: NDArray[np.float32], y: int, out: NDArray[np.float32]) -> None:
    """Fill in d/dx, d/dy, and the derivatives by xx, yy and xy on row y."""
    # Differences of fourth order, but for the last: the score is well sampled.
    near, far = np.float32(2 / 3), np.float32(-1 / 12)
    bend_0, bend_1, cross = np.float32(-2.5), np.float32(4 / 3), np.float32(1 / 4)
    j, d, r, u, v = (
        rows[(y - 2) % 5],
        rows[(y - 1) % 5],
        rows[y % 5],
        rows[(y + 1) % 5],
        rows[(y + 2) % 5],
    )
    for x in range(out.shape[1]):
        middle = bend_0 * r[x + 2]
        out[0, x] = near * (r[x + 3] - r[x + 1]) + far * (r[x + 4] - r[x])
        out[1, x] = near * (u[x + 2] - d[x + 2]) + far * (v[x + 2] - j[x + 2])
        out[2, x] = middle + bend_1 * (r[x + 3] + r[x + 1]) + far * (r[x + 4] + r[x])
        out[3, x] = middle + bend_1 * (u[x + 2] + d[x + 2])
        out[3, x] += far * (v[x + 2] + j[x + 2])
        out[4, x] = cross * (u[x + 3] - u[x + 1] - d[x + 3] + d[x + 1])


@inlined
def _add_shifts(
    a: NDArray[np.float32],
    b: NDArray[np.float32],
    squares: NDArray[np.float32],
    total: NDArray[np.float32],
) -> None:
    """Add the variance that shifts make of the derivatives of both scores."""
    none, two, four = np.float32(0), np.float32(2), np.float32(4)
    sx, sy = squares[0], squares[1]
    for i in range(len(total)):
        along_x, along_y = a[0, i] * b[0, i], a[1, i] * b[1, i]
        # Between the centres of a shifted star the slopes are opposite: not less noise.
        slope = sx * max(along_x, none) + sy * max(along_y, none)
        axx, ayy = sx * a[2, i], sy * a[3, i]
        bxx, byy = sx * b[2, i], sy * b[3, i]
        # For Gaussian shifts: (trace)^2 + 2 (sum of the squares of all elements).
        bend = (axx + ayy) * (bxx + byy) + two * (axx * bxx + ayy * byy)
        bend += four * sx * sy * a[4, i] * b[4, i]
        total[i] += slope + max(bend, none) / four
