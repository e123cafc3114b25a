"""The PSF of an exposure that has been resampled."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.compiled import compiled
from streamdiff.imaging.lanczos import weigh, weight_table
from streamdiff.imaging.pixel_map import PixelMap
from streamdiff.imaging.stamps import pad_stamp
from streamdiff.model import Area, CoaddPsf, ConstantPsf, GridPsf, Psf, PsfComponent
from streamdiff.model.psf import shift_stamp

NODES = 5
# Sub-pixel positions, per axis, over which the effect of resampling is averaged.
PHASES = 3
# A map whose positions stay within this of a shift is a pure shift [pixel].
SHIFT_TOLERANCE = 0.01
# So far beyond an image an area is followed [pixel].
_BEYOND = 64.0


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
    ConstantPsf, GridPsf or CoaddPsf
        Constant if the old one is and the map is a pure shift. That of a coadd whose
        inputs end within the new image is that of their parts, each with its area.

    Notes
    -----
    At every node the old PSF, placed at a sub-pixel position, is resampled by the
    local affine part of the map and the same kernel as the pixels, so that its
    smoothing is part of the result. That depends on the position of the new pixel
    among the old ones: it is exact for a pure shift, where that is the same
    everywhere, and the mean over sub-pixel positions elsewhere.
    """
    if isinstance(psf, CoaddPsf):
        return _warp_parts(psf, pixel_map, shape, order)
    return _warp_smooth(psf, pixel_map, shape, order)


def _warp_parts(
    psf: CoaddPsf, pixel_map: PixelMap, shape: tuple[int, int], order: int
) -> Psf:
    """Return the PSF of a coadd, warped input by input where these end."""
    height, width = shape
    corners = [(x, y) for x in (0, width - 1) for y in (0, height - 1)]
    everywhere, partial = list[PsfComponent](), list[PsfComponent]()
    for component in psf.components:
        area = _moved(component.area, pixel_map)
        if area is None:
            continue
        if all(area.beyond(*corner) <= 0 for corner in corners):
            everywhere.append(component)
        else:
            warped = _warp_smooth(component.psf, pixel_map, shape, order)
            partial.append(replace(component, psf=warped, area=area))
    if not everywhere:
        return (
            CoaddPsf(tuple(partial))
            if partial
            else _warp_smooth(psf, pixel_map, shape, order)
        )
    # The mean of what is everywhere is smooth.
    smooth = _warp_smooth(CoaddPsf(tuple(everywhere)), pixel_map, shape, order)
    if not partial:
        return smooth
    weight = sum(component.weight for component in everywhere)
    whole = PsfComponent(psf=smooth, weight=weight, area=_around(shape))
    return CoaddPsf((whole, *partial))


def _moved(area: Area, pixel_map: PixelMap) -> Area | None:
    """Return an area on the new pixels, as far as they reach; `None` for nothing."""
    low, high = (
        (float(f(pixel_map.x)) + margin, float(f(pixel_map.y)) + margin)
        for f, margin in ((np.nanmin, -_BEYOND), (np.nanmax, _BEYOND))
    )
    here = area.within(low, high) if np.isfinite([*low, *high]).all() else None
    if here is None:
        return None
    vertices = [pixel_map.target_of(x, y) for x, y in here.vertices]
    x, y = np.transpose(vertices)
    # A reflection turns the sense of the vertices round, and the area's sign.
    twice = float(x @ np.roll(y, -1) - y @ np.roll(x, -1))
    return Area(tuple(vertices if twice > 0 else vertices[::-1]))


def _around(shape: tuple[int, int]) -> Area:
    """Return the area of an image, and what may be asked for beside it."""
    right, top = (n + _BEYOND for n in shape[::-1])
    left = bottom = -_BEYOND
    return Area(((left, bottom), (right, bottom), (right, top), (left, top)))


def _warp_smooth(
    psf: Psf, pixel_map: PixelMap, shape: tuple[int, int], order: int
) -> ConstantPsf | GridPsf:
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
    local = pixel_map.affine_at(x, y)
    if local is None:
        return psf.centred_at(0, 0)
    (old_x, old_y), affine = local
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
