"""The PSF of an exposure that has been resampled."""

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.compiled import compiled
from streamdiff.imaging.lanczos import weigh, weight_table
from streamdiff.imaging.pixel_map import PixelMap
from streamdiff.imaging.stamps import pad_stamp
from streamdiff.model import ConstantPsf, GridPsf, Psf
from streamdiff.model.psf import shift_stamp

NODES = 5
# Sub-pixel positions, per axis, over which the effect of resampling is averaged.
PHASES = 3
# A map whose positions stay within this of a shift is a pure shift [pixel].
SHIFT_TOLERANCE = 0.01


def warp_psf(
    psf: Psf, pixel_map: PixelMap, shape: tuple[int, int], *, order: int = 3
) -> Psf:
    """Return the PSF of an exposure after `streamdiff.imaging.resample.resample`.

    Parameters
    ----------
    psf : Psf
        PSF on the old pixels.
    pixel_map : PixelMap
        Where the new pixels are on the old ones.
    shape : tuple of int
        (height, width) of the new image.
    order : int
        Of the Lanczos kernel.

    Returns
    -------
    ConstantPsf or GridPsf
        Constant if the old one is and the map is a pure shift.

    Notes
    -----
    At every node the old PSF, placed at a sub-pixel position, is resampled by the
    local affine part of the map and the same kernel as the pixels, so that its
    smoothing is part of the result. That depends on the position of the new pixel
    among the old ones: it is exact for a pure shift, where that is the same
    everywhere, and the mean over sub-pixel positions elsewhere.
    """
    fraction = _common_fraction(pixel_map)
    phases = _phases() if fraction is None else [fraction]
    y, x = (np.linspace(0, max(n - 1, 1), NODES) for n in shape)
    if fraction is not None and isinstance(psf, ConstantPsf):
        return ConstantPsf(_resampled(psf.stamp, np.eye(2), phases, order))
    stamps = [[_at_node(psf, pixel_map, u, v, phases, order) for u in x] for v in y]
    height, width = np.max([s.shape for row in stamps for s in row], axis=0)
    padded = np.array([[pad_stamp(s, (height, width)) for s in row] for row in stamps])
    return GridPsf(stamps=padded, x=x, y=y)


def _phases() -> list[tuple[float, float]]:
    phases = (np.arange(PHASES) - (PHASES - 1) / 2) / PHASES
    return [(float(u), float(v)) for v in phases for u in phases]


def _common_fraction(pixel_map: PixelMap) -> tuple[float, float] | None:
    """Return the fraction of a pixel by which a map shifts, if it is a pure shift."""
    rows, columns = np.indices(pixel_map.x.shape) * pixel_map.step
    dx, dy = pixel_map.x - columns, pixel_map.y - rows
    known = np.isfinite(dx) & np.isfinite(dy)
    if not known.any() or max(np.ptp(dx[known]), np.ptp(dy[known])) > SHIFT_TOLERANCE:
        return None
    fractions = (float(v - np.rint(v)) for v in (dx[known].mean(), dy[known].mean()))
    u, v = fractions
    return u, v


def _at_node(
    psf: Psf,
    pixel_map: PixelMap,
    x: float,
    y: float,
    phases: list[tuple[float, float]],
    order: int,
) -> NDArray[np.float64]:
    known = np.isfinite(pixel_map.x) & np.isfinite(pixel_map.y)
    jacobian = pixel_map.jacobian
    known &= np.isfinite(jacobian).all(axis=(0, 1))
    if not known.any():
        return psf.centred_at(0, 0)
    rows, columns = np.nonzero(known)
    distance = np.hypot(columns * pixel_map.step - x, rows * pixel_map.step - y)
    j, i = rows[distance.argmin()], columns[distance.argmin()]
    offset = np.array([x - i * pixel_map.step, y - j * pixel_map.step])
    affine = jacobian[:, :, j, i]
    old_x, old_y = np.array([pixel_map.x[j, i], pixel_map.y[j, i]]) + affine @ offset
    return _resampled(psf.centred_at(old_x, old_y), affine, phases, order)


def _resampled(
    stamp: NDArray[np.float64],
    affine: NDArray[np.float64],
    phases: list[tuple[float, float]],
    order: int,
) -> NDArray[np.float64]:
    """Return a stamp as seen by pixels that the affine map places among its own."""
    scale = np.sqrt(abs(np.linalg.det(affine)))
    ky, kx = (2 * int(np.ceil(side // 2 / scale - 0.1)) + 1 for side in stamp.shape)
    dx, dy = np.meshgrid(np.arange(kx) - kx // 2, np.arange(ky) - ky // 2)
    x, y = np.tensordot(affine, np.array([dx, dy]), 1)
    total = np.zeros((ky, kx))
    for u, v in phases:
        moved = shift_stamp(stamp, u, v)
        total += _interpolated(moved, x + u, y + v, order)
    resampled: NDArray[np.float64] = total / total.sum()
    return resampled


def _interpolated(
    stamp: NDArray[np.float64],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    order: int,
) -> NDArray[np.float64]:
    """Return the Lanczos interpolation of a stamp at offsets from its centre."""
    ky, kx = stamp.shape
    margin = order + 1
    # Beyond its border the stamp is 0, and stays so however far out.
    columns = np.clip(x + kx // 2 + margin, order - 1, kx + 2 * margin - order - 1)
    rows = np.clip(y + ky // 2 + margin, order - 1, ky + 2 * margin - order - 1)
    interpolated = np.empty(x.shape)
    _interpolate(
        np.pad(stamp, margin),
        columns.ravel(),
        rows.ravel(),
        weight_table(order),
        (0,) * (2 * order),
        interpolated.ravel(),
    )
    return interpolated


@compiled
def _interpolate(
    stamp: NDArray[np.float64],
    columns: NDArray[np.float64],
    rows: NDArray[np.float64],
    table: NDArray[np.float32],
    taps: tuple[int, ...],
    values: NDArray[np.float64],
) -> None:
    wx, wy = np.empty(len(taps), np.float32), np.empty(len(taps), np.float32)
    before = len(taps) // 2 - 1
    for i in range(values.size):
        column, row = int(columns[i]), int(rows[i])
        weigh(table, columns[i] - column, taps, wx)
        weigh(table, rows[i] - row, taps, wy)
        total = 0.0
        for a in range(len(taps)):
            line = 0.0
            for b in range(len(taps)):
                line += wx[b] * stamp[row - before + a, column - before + b]
            total += wy[a] * line
        values[i] = total
