"""The Gaussians that fit best to sources on stamps, compiled.

The weight of the moments is the elliptical Gaussian that has twice of them; see
`streamdiff.imaging.moments`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.compiled import compiled, inlined

# Each iteration halves the distance to the fixed point, for a Gaussian: what is left
# is as large as the last change, over the sum of both moments.
_ITERATIONS, _CONVERGED = 10, 1e-4
_MIN_VARIANCE, _LARGEST_CORRELATION = 0.1, 0.98
_TINY = float(np.finfo(float).tiny)

# Centroid x and y, and second moments xx, xy and yy.
_Shape = tuple[float, float, float, float, float]
_Sums = tuple[float, float, float, float, float, float]


@compiled
def fit_gaussians(
    image: NDArray[Any],
    variance: NDArray[Any],
    usable: NDArray[np.bool_],
    offset: NDArray[np.float64],
    sigma: float,
    found: NDArray[np.float64],
) -> None:
    """Fill in the attributes of `Moments`."""
    n, side, _ = image.shape
    values, noise = np.empty((2, side, side))
    for i in range(n):
        _mirror(image[i], usable[i], values)
        _mirror(variance[i], usable[i], noise)
        before = (offset[i, 0], offset[i, 1], sigma**2, 0.0, sigma**2)
        for _ in range(_ITERATIONS):
            after = _refined(_sums(values, before), before, side // 2)
            change = 0.0
            for k in range(5):
                change = max(change, abs(after[k] - before[k]))
            before = after
            if change <= _CONVERGED * (after[2] + after[4]):
                break
        total, error = _sums(values, before)[0], np.sqrt(_noise(noise, before))
        for k in range(5):
            found[i, k] = before[k]
        found[i, 5] = 2 * total
        found[i, 6] = max(total / max(error, _TINY), 0.0)


@inlined
def _mirror(
    plane: NDArray[Any], usable: NDArray[np.bool_], filled: NDArray[np.float64]
) -> None:
    """Fill in a plane, with the opposite pixel where one is not usable, or 0."""
    last = len(plane) - 1
    for y in range(last + 1):
        for x in range(last + 1):
            filled[y, x] = 0
            if usable[y, x]:
                filled[y, x] = plane[y, x]
            elif usable[last - y, last - x]:
                filled[y, x] = plane[last - y, last - x]


@inlined
def _sums(values: NDArray[np.float64], shape: _Shape) -> _Sums:
    """Return the sums of 1, u, v, u**2, uv and v**2, under the Gaussian of a shape."""
    total = of_u = of_v = of_uu = of_uv = of_vv = 0.0
    side = len(values)
    weights = np.empty(side)
    for row in range(side):
        v = row - side // 2
        _fill_weights(v - shape[1], shape, weights)
        in_row = by_u = by_uu = 0.0
        for column in range(side):
            u = column - side // 2
            light = values[row, column] * weights[column]
            in_row += light
            by_u += u * light
            by_uu += u * u * light
        total += in_row
        of_u += by_u
        of_v += v * in_row
        of_uu += by_uu
        of_uv += v * by_u
        of_vv += v * v * in_row
    return total, of_u, of_v, of_uu, of_uv, of_vv


@inlined
def _fill_weights(dv: float, shape: _Shape, weights: NDArray[np.float64]) -> None:
    """Fill in a row, so far from the middle, of the Gaussian of a shape.

    From its largest pixel to both sides, each is the one before times a ratio, which
    itself falls by a constant factor: exponentials take most of the time.
    """
    cx, _, xx, xy, yy = shape
    scale = -0.5 / (xx * yy - xy**2)
    a, b, c = scale * yy, -2 * scale * xy * dv, scale * xx * dv**2
    side = len(weights)
    highest = min(max(int(np.rint(cx - b / (2 * a))) + side // 2, 0), side - 1)
    du = highest - side // 2 - cx
    top, factor = np.exp((a * du + b) * du + c), np.exp(2 * a)
    value, ratio = top, np.exp(a * (2 * du + 1) + b)
    for column in range(highest, side):
        weights[column] = value
        value *= ratio
        ratio *= factor
    value, ratio = top, np.exp(a * (1 - 2 * du) - b)
    for column in range(highest, -1, -1):
        weights[column] = value
        value *= ratio
        ratio *= factor


@inlined
def _noise(noise: NDArray[np.float64], shape: _Shape) -> float:
    """Return the variance of the sum under the Gaussian of a shape."""
    cx, cy, xx, xy, yy = shape
    # The square of a Gaussian is one of half the moments.
    return _sums(noise, (cx, cy, xx / 2, xy / 2, yy / 2))[0]


@inlined
def _refined(sums: _Sums, shape: _Shape, radius: int) -> _Shape:
    """Return the next x, y, xx, xy and yy."""
    scale = 1 / sums[0] if sums[0] > 0 else 0.0
    u, v, uu = sums[1] * scale, sums[2] * scale, sums[3] * scale
    uv, vv = sums[4] * scale, sums[5] * scale
    cx, cy = shape[0], shape[1]
    if scale > 0:
        # The centroid under the weight is half way to that of the source.
        cx, cy = 2 * u - cx, 2 * v - cy
    cx = min(max(cx, -radius), radius)
    cy = min(max(cy, -radius), radius)
    # Second moments are kept positive definite, and on the stamp.
    xx = min(max(2 * (uu - u * u), _MIN_VARIANCE), radius**2)
    yy = min(max(2 * (vv - v * v), _MIN_VARIANCE), radius**2)
    limit = _LARGEST_CORRELATION * np.sqrt(xx * yy)
    xy = min(max(2 * (uv - u * v), -limit), limit)
    return cx, cy, xx, xy, yy
