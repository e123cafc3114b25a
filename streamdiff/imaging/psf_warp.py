"""The PSF of an exposure that has been resampled."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.compiled import compiled
from streamdiff.imaging.lanczos import weigh, weight_polynomials
from streamdiff.imaging.pixel_map import PixelMap
from streamdiff.imaging.stamps import pad_stamp
from streamdiff.model import Area, CoaddPsf, ConstantPsf, GridPsf, Psf, PsfComponent
from streamdiff.model.planes import read_only
from streamdiff.model.psf import shift_matrix

# Fractions of a pixel, in x and y.
Phases: TypeAlias = tuple[tuple[float, float], ...]

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
    phases = _phases() if fraction is None else (fraction,)
    if fraction is not None and all(isinstance(psf, ConstantPsf) for psf in psfs):
        stamps = _common_shape([psf.centred_at(0, 0) for psf in psfs])
        return [ConstantPsf(s) for s in _resampled(stamps, np.eye(2), phases, order)]
    y, x = (np.linspace(0, max(n - 1, 1), NODES) for n in shape)
    places = [pixel_map.affine_at(u, v) for v in y for u in x]
    known = [place for place in places if place is not None]
    at = [position for position, _ in known] or [np.zeros(2)] * len(places)
    stamps = _common_shape([psf.centred_at(*p) for p in at for psf in psfs])
    if known:
        affines = np.array([affine for _, affine in known])
        stamps = _resampled_at(stamps, affines, phases, order)
    grids = stamps.reshape(NODES, NODES, len(psfs), *stamps.shape[1:])
    return [GridPsf(stamps=grids[:, :, i], x=x, y=y) for i in range(len(psfs))]


def _resampled_at(
    stamps: NDArray[np.float64],
    affines: NDArray[np.float64],
    phases: Phases,
    order: int,
) -> NDArray[np.float64]:
    """Return stamps resampled as at nodes, those of each side by side.

    They are resampled at once where the nodes' maps are the same for a stamp.
    """
    mean = affines.mean(axis=0)
    if np.abs(affines - mean).max() * max(stamps.shape[1:]) < SHIFT_TOLERANCE:
        return _resampled(stamps, mean, phases, order)
    return _common_shape(
        [
            stamp
            for at_node, affine in zip(
                np.split(stamps, len(affines)), affines, strict=True
            )
            for stamp in _resampled(at_node, affine, phases, order)
        ]
    )


def _common_shape(stamps: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    height, width = np.max([stamp.shape for stamp in stamps], axis=0).tolist()
    return np.array([pad_stamp(stamp, (height, width)) for stamp in stamps])


def _phases() -> Phases:
    phases = (np.arange(PHASES) - (PHASES - 1) / 2) / PHASES
    return tuple((float(u), float(v)) for v in phases for u in phases)


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


def _resampled(
    stamps: NDArray[np.float64],
    affine: NDArray[np.float64],
    phases: Phases,
    order: int,
) -> NDArray[np.float64]:
    """Return stamps as seen by pixels that the affine map places among their own."""
    scale = np.sqrt(abs(np.linalg.det(affine)))
    height, width = stamps.shape[1:]
    ky, kx = (2 * int(np.ceil(n // 2 / scale - 0.1)) + 1 for n in (height, width))
    dx, dy = np.meshgrid(np.arange(kx) - kx // 2, np.arange(ky) - ky // 2)
    x, y = np.tensordot(affine, np.array([dx, dy]), 1)
    along, across = _shifts(phases, height, width)
    moved = along @ stamps[:, np.newaxis] @ across
    total = _interpolated(moved, x, y, np.array(phases), order)
    resampled: NDArray[np.float64] = total / total.sum(axis=(1, 2), keepdims=True)
    return resampled


@lru_cache(maxsize=16)
def _shifts(
    phases: Phases, height: int, width: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the matrices that shift stamps by the phases, from left and from right."""
    along = np.array([shift_matrix(height, v) for _, v in phases])
    across = np.array([shift_matrix(width, u).T for u, _ in phases])
    return read_only(along), read_only(across)


def _interpolated(
    moved: NDArray[np.float64],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    phases: NDArray[np.float64],
    order: int,
) -> NDArray[np.float64]:
    """Return the Lanczos interpolation of stamps, summed over phases.

    Parameters
    ----------
    moved : ndarray of float64, shape (n, n_phases, ky, kx)
        Stamps that were moved by phases.
    x, y : ndarray of float64, shape (height, width)
        Offsets from the centres of the stamps, beside phases.
    phases : ndarray of float64, shape (n_phases, 2)
        In x and y.
    order : int

    Returns
    -------
    ndarray of float64, shape (n, height, width)
    """
    ky, kx = moved.shape[2:]
    margin = order + 1
    u, v = phases.T[:, :, np.newaxis, np.newaxis]
    # Beyond its border a stamp is 0, and stays so however far out.
    columns = np.clip(x + u + kx // 2 + margin, order - 1, kx + 2 * margin - order - 1)
    rows = np.clip(y + v + ky // 2 + margin, order - 1, ky + 2 * margin - order - 1)
    around = ((0, 0), (0, 0), (margin, margin), (margin, margin))
    total = np.zeros((x.size, len(moved)))
    _interpolate(
        np.ascontiguousarray(np.pad(moved, around).transpose(1, 2, 3, 0)),
        columns.reshape(len(phases), -1),
        rows.reshape(len(phases), -1),
        weight_polynomials(order),
        (0,) * (2 * order),
        total,
    )
    return total.T.reshape(len(moved), *x.shape)


@compiled
def _interpolate(
    stamps: NDArray[np.float64],
    columns: NDArray[np.float64],
    rows: NDArray[np.float64],
    polynomials: NDArray[np.float32],
    taps: tuple[int, ...],
    totals: NDArray[np.float64],
) -> None:
    """Add the interpolations of all phases.

    Positions have shape (n_phases, n), stamps (n_phases, ky, kx, m), totals (n, m).
    """
    wx, wy = np.empty(len(taps), np.float32), np.empty(len(taps), np.float32)
    before = len(taps) // 2 - 1
    for phase in range(len(columns)):
        for i in range(columns.shape[1]):
            column, row = int(columns[phase, i]), int(rows[phase, i])
            weigh(polynomials, columns[phase, i] - column, taps, wx)
            weigh(polynomials, rows[phase, i] - row, taps, wy)
            total = totals[i]
            for a in range(len(taps)):
                for b in range(len(taps)):
                    weight = np.float64(wy[a]) * wx[b]
                    pixel = stamps[phase, row - before + a, column - before + b]
                    for n in range(total.size):
                        total[n] += weight * pixel[n]
