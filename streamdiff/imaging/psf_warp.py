"""The PSF of an exposure that has been resampled."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.compiled import compiled
from streamdiff.imaging.lanczos import weigh, weight_table
from streamdiff.imaging.pixel_map import PixelMap
from streamdiff.imaging.stamps import pad_stamp
from streamdiff.model import Area, CoaddPsf, ConstantPsf, GridPsf, Psf, PsfComponent
from streamdiff.model.psf import shift_matrix

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
    if not isinstance(psf, CoaddPsf):
        return _warp_smooth([psf], pixel_map, shape, order)[0]
    everywhere, partial = _parts(psf, pixel_map, shape)
    if not (everywhere or partial):
        return _warp_smooth([psf], pixel_map, shape, order)[0]
    # The mean of what is everywhere is smooth.
    smooth: list[Psf] = [CoaddPsf(tuple(everywhere))] if everywhere else []
    psfs = [*smooth, *(component.psf for component in partial)]
    warped = _warp_smooth(psfs, pixel_map, shape, order)
    if not partial:
        return warped[0]
    if everywhere:
        weight = sum(component.weight for component in everywhere)
        whole = PsfComponent(psf=warped[0], weight=weight, area=_around(shape))
        partial = [whole, *partial]
    return CoaddPsf(
        tuple(replace(c, psf=w) for c, w in zip(partial, warped, strict=True))
    )


def _parts(
    psf: CoaddPsf, pixel_map: PixelMap, shape: tuple[int, int]
) -> tuple[list[PsfComponent], list[PsfComponent]]:
    """Return the inputs that cover the new image, and those that end within it.

    The areas of these are on the new pixels.
    """
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
            partial.append(replace(component, area=area))
    return everywhere, partial


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
    psfs: Sequence[Psf], pixel_map: PixelMap, shape: tuple[int, int], order: int
) -> list[Psf]:
    """Return PSFs that vary smoothly, all resampled at once."""
    fraction = _common_fraction(pixel_map)
    phases = _phases() if fraction is None else [fraction]
    if fraction is not None and all(isinstance(psf, ConstantPsf) for psf in psfs):
        stamps = _common_shape([psf.centred_at(0, 0) for psf in psfs])
        return [ConstantPsf(s) for s in _resampled(stamps, np.eye(2), phases, order)]
    y, x = (np.linspace(0, max(n - 1, 1), NODES) for n in shape)
    nodes = [[_at_node(psfs, pixel_map, u, v, phases, order) for u in x] for v in y]
    size = tuple(np.max([n.shape[1:] for row in nodes for n in row], axis=0).tolist())
    grids = np.array([[[pad_stamp(s, size) for s in n] for n in row] for row in nodes])
    return [GridPsf(stamps=grids[:, :, i], x=x, y=y) for i in range(len(psfs))]


def _common_shape(stamps: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    height, width = np.max([stamp.shape for stamp in stamps], axis=0).tolist()
    return np.array([pad_stamp(stamp, (height, width)) for stamp in stamps])


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
    psfs: Sequence[Psf],
    pixel_map: PixelMap,
    x: float,
    y: float,
    phases: list[tuple[float, float]],
    order: int,
) -> NDArray[np.float64]:
    """Return the stamps at a position on the new pixels; shape (n, ky, kx)."""
    local = pixel_map.affine_at(x, y)
    if local is None:
        return _common_shape([psf.centred_at(0, 0) for psf in psfs])
    (old_x, old_y), affine = local
    stamps = _common_shape([psf.centred_at(old_x, old_y) for psf in psfs])
    return _resampled(stamps, affine, phases, order)


def _resampled(
    stamps: NDArray[np.float64],
    affine: NDArray[np.float64],
    phases: list[tuple[float, float]],
    order: int,
) -> NDArray[np.float64]:
    """Return stamps as seen by pixels that the affine map places among their own."""
    scale = np.sqrt(abs(np.linalg.det(affine)))
    height, width = stamps.shape[1:]
    ky, kx = (2 * int(np.ceil(n // 2 / scale - 0.1)) + 1 for n in (height, width))
    dx, dy = np.meshgrid(np.arange(kx) - kx // 2, np.arange(ky) - ky // 2)
    x, y = np.tensordot(affine, np.array([dx, dy]), 1)
    total = np.zeros((len(stamps), ky, kx))
    for u, v in phases:
        moved = shift_matrix(height, v) @ stamps @ shift_matrix(width, u).T
        _add_interpolated(moved, x + u, y + v, order, total)
    resampled: NDArray[np.float64] = total / total.sum(axis=(1, 2), keepdims=True)
    return resampled


def _add_interpolated(
    stamps: NDArray[np.float64],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    order: int,
    total: NDArray[np.float64],
) -> None:
    """Add the Lanczos interpolation of stamps at offsets from their centre."""
    ky, kx = stamps.shape[1:]
    margin = order + 1
    # Beyond its border a stamp is 0, and stays so however far out.
    columns = np.clip(x + kx // 2 + margin, order - 1, kx + 2 * margin - order - 1)
    rows = np.clip(y + ky // 2 + margin, order - 1, ky + 2 * margin - order - 1)
    _interpolate(
        np.pad(stamps, ((0, 0), (margin, margin), (margin, margin))),
        columns.ravel(),
        rows.ravel(),
        weight_table(order),
        (0,) * (2 * order),
        total.reshape(len(stamps), -1),
    )


@compiled
def _interpolate(
    stamps: NDArray[np.float64],
    columns: NDArray[np.float64],
    rows: NDArray[np.float64],
    table: NDArray[np.float32],
    taps: tuple[int, ...],
    totals: NDArray[np.float64],
) -> None:
    wx, wy = np.empty(len(taps), np.float32), np.empty(len(taps), np.float32)
    before = len(taps) // 2 - 1
    for i in range(columns.size):
        column, row = int(columns[i]), int(rows[i])
        weigh(table, columns[i] - column, taps, wx)
        weigh(table, rows[i] - row, taps, wy)
        for n in range(len(stamps)):
            total = 0.0
            for a in range(len(taps)):
                line = 0.0
                for b in range(len(taps)):
                    line += wx[b] * stamps[n, row - before + a, column - before + b]
                total += wy[a] * line
            totals[n, i] += total
