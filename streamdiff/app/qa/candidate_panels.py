"""Panels about the stars that the kernel was fitted to, and those that were not."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from streamdiff.imaging.stamps import pixels_around
from streamdiff.model import CandidateStatus, KernelCandidates
from streamdiff.stages import Images

_COLOURS = {
    CandidateStatus.USED: "tab:green",
    CandidateStatus.CONTROL: "tab:blue",
}
_BAD_COLOUR = "tab:red"
_SHOWN, _PER_ROW = 24, 4
_HALF = 12
# Residuals are shown within this fraction of the star's peak.
_RESIDUAL_RANGE = 0.1


def panels(
    candidates: KernelCandidates, images: Images
) -> Iterator[Callable[[Axes], None]]:
    """Yield what draws the panels about kernel candidates, at least one."""
    used = candidates.having(CandidateStatus.USED)
    control = candidates.having(CandidateStatus.CONTROL)
    shape = images.science.shape
    yield partial(_draw_places, candidates=candidates, shape=shape)
    yield partial(_draw_sums, candidates=candidates)
    yield partial(_draw_residuals, candidates=candidates)
    for title, rows in (
        ("used", used),
        ("control sample", control),
        ("not used", ~(used | control)),
    ):
        if rows.any():
            yield partial(
                _draw_stamps,
                title=title,
                rows=np.flatnonzero(rows),
                candidates=candidates,
                images=images,
            )


def _colour(status: str) -> str:
    return _COLOURS.get(CandidateStatus(status), _BAD_COLOUR)


def _draw_places(
    axes: Axes, *, candidates: KernelCandidates, shape: tuple[int, int]
) -> None:
    colours = [_colour(status) for status in candidates.status.tolist()]
    axes.scatter(candidates.x, candidates.y, s=14, c=colours)
    axes.set_xlim(-0.5, shape[1] - 0.5)
    axes.set_ylim(-0.5, shape[0] - 0.5)
    axes.set_aspect("equal")
    status, counts = np.unique(candidates.status, return_counts=True)
    handles = [
        Line2D(
            [], [], marker="o", linestyle="", color=_colour(name), label=f"{n} {name}"
        )
        for name, n in zip(status.tolist(), counts.tolist(), strict=True)
    ]
    axes.legend(handles=handles, fontsize="x-small", loc="upper right")
    axes.set_title(f"{len(candidates)} kernel candidates")


def _draw_sums(axes: Axes, *, candidates: KernelCandidates) -> None:
    known = np.isfinite(candidates.kernel_sum)
    colours = [_colour(status) for status in candidates.status[known].tolist()]
    sums = candidates.kernel_sum[known]
    axes.scatter(candidates.snr[known], sums, s=14, c=colours)
    used = candidates.kernel_sum[known & candidates.having(CandidateStatus.USED)]
    if used.size:
        middle, spread = float(np.median(used)), float(np.ptp(used)) or 1.0
        axes.axhline(middle, color="k", linewidth=1)
        axes.set_ylim(middle - 1.5 * spread, middle + 1.5 * spread)
    if (candidates.snr[known] > 0).any():
        axes.set_xscale("log")
    axes.set_xlabel("signal-to-noise ratio")
    axes.set_title("kernel sum of each candidate alone")


def _draw_residuals(axes: Axes, *, candidates: KernelCandidates) -> None:
    """Draw how well the kernel of all fits each, by how well its own kernel does."""
    both = np.isfinite(candidates.local_rms) & np.isfinite(candidates.spatial_rms)
    colours = [_colour(status) for status in candidates.status[both].tolist()]
    local, spatial = candidates.local_rms[both], candidates.spatial_rms[both]
    axes.scatter(local, spatial, s=14, c=colours)
    if both.any():
        low, high = np.percentile(np.concatenate([local, spatial]), [2, 98]).tolist()
        limits = 0.9 * low, 1.1 * high
        axes.plot(limits, limits, "k", linewidth=1)
        axes.set_xlim(limits)
        axes.set_ylim(limits)
    axes.set_xlabel("rms of its own kernel [sigma per pixel]")
    axes.set_ylabel("rms of the kernel of all")
    used, control = (
        _median(candidates, status)
        for status in (CandidateStatus.USED, CandidateStatus.CONTROL)
    )
    axes.set_title(f"residuals: median {used} used, {control} control")


def _median(candidates: KernelCandidates, status: CandidateStatus) -> str:
    values = candidates.spatial_rms[candidates.having(status)]
    values = values[np.isfinite(values)]
    return f"{np.median(values):.3f}" if values.size else "no"


def _draw_stamps(
    axes: Axes,
    *,
    title: str,
    rows: NDArray[np.intp],
    candidates: KernelCandidates,
    images: Images,
) -> None:
    shown = rows[:_SHOWN]
    pairs = zip(*_stamps(shown, candidates, images), strict=True)
    status = candidates.status[shown].tolist()
    cells = [
        _pair(target, residual, _colour(name))
        for (target, residual), name in zip(pairs, status, strict=True)
    ]
    blank = np.ones_like(cells[0])
    cells += [blank] * (-len(cells) % _PER_ROW)
    lines = [np.hstack(cells[i : i + _PER_ROW]) for i in range(0, len(cells), _PER_ROW)]
    axes.imshow(np.vstack(lines))
    axes.set_axis_off()
    percent = 100 * _RESIDUAL_RANGE
    axes.set_title(
        f"{title}: {len(shown)} of {len(rows)}; right: residual, ±{percent:.0f} %",
        fontsize="medium",
    )


def _stamps(
    rows: NDArray[np.intp], candidates: KernelCandidates, images: Images
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the stars and what is left of them, shape (n, m, m) each."""
    if candidates.targets is not None and candidates.residuals is not None:
        return (
            np.asarray(candidates.targets[rows], float),
            np.asarray(candidates.residuals[rows], float),
        )
    side = 2 * _HALF + 1
    pixels, inside = pixels_around(
        images.science.shape, candidates.x[rows], candidates.y[rows], (side, side)
    )
    targets, residuals = (
        np.where(inside, plane[pixels], np.nan).astype(float)
        for plane in (images.science.image, images.difference.image)
    )
    return targets, residuals


def _pair(
    target: NDArray[np.float64], residual: NDArray[np.float64], colour: str
) -> NDArray[np.float64]:
    """Return a star and its residual in a frame, RGB; row 0 on top."""
    peak = float(np.nanmax(np.abs(target), initial=0)) or 1.0
    both = np.hstack([target / peak, 0.5 + residual / (2 * _RESIDUAL_RANGE * peak)])
    both[:, : target.shape[1]] = np.sqrt(np.clip(both[:, : target.shape[1]], 0, 1))
    rgb = colormaps["gray"](np.clip(np.nan_to_num(both), 0, 1))[::-1, :, :3]
    framed = np.pad(rgb, ((1, 1), (1, 1), (0, 0)), constant_values=np.nan)
    framed[np.isnan(framed[..., 0])] = to_rgb(colour)
    spaced: NDArray[np.float64] = np.pad(
        framed, ((1, 1), (1, 1), (0, 0)), constant_values=1
    )
    return spaced
