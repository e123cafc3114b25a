"""Panels about the images themselves: what was there, and what is left."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from streamdiff.imaging.noise import robust_std
from streamdiff.model import UNUSABLE, Difference, Exposure, Psf
from streamdiff.stages import Images

_BAD = UNUSABLE
_SHOWN_PIXELS = 512
_RMS_RANGE = 0.5, 2.0
_CELLS, _MIN_CELL_PIXELS = 16, 8
_PULL_RANGE, _BINS = 8.0, 81
_PSF_COLOURS = {"science": "tab:blue", "template": "tab:orange", "difference": "k"}


def panels(images: Images) -> Iterator[Callable[[Axes], None]]:
    """Yield what draws the panels that every difference has."""
    pulls = pulls_of(images.difference)
    yield partial(_draw_sky, title="science", exposure=images.science)
    yield partial(_draw_sky, title="template", exposure=images.template)
    yield partial(_draw_pulls, pulls=pulls)
    yield partial(_draw_rms, pulls=pulls)
    yield partial(_draw_histogram, pulls=pulls)
    yield partial(_draw_psfs, images=images)


def pulls_of(difference: Difference) -> NDArray[np.float64]:
    """Return image over sigma, NaN where a pixel is not usable; shape (ny, nx)."""
    image = np.asarray(difference.image, float)
    variance = np.asarray(difference.variance, float)
    good = ~_BAD.in_mask(difference.mask) & np.isfinite(image)
    good &= np.isfinite(variance) & (variance > 0)
    sigma = np.sqrt(np.where(good, variance, np.nan))
    pulls: NDArray[np.float64] = np.where(good, image, np.nan) / sigma
    return pulls


def _thin(plane: NDArray[np.generic]) -> NDArray[np.generic]:
    step = max(-(-max(plane.shape) // _SHOWN_PIXELS), 1)
    return plane[::step, ::step]


def _extent(shape: tuple[int, ...]) -> tuple[float, float, float, float]:
    height, width = shape
    return -0.5, width - 0.5, -0.5, height - 0.5


def _draw_sky(axes: Axes, *, title: str, exposure: Exposure) -> None:
    shown = np.asarray(_thin(exposure.image), float)
    bad = _BAD.in_mask(np.asarray(_thin(exposure.mask), np.int32))
    values = shown[np.isfinite(shown) & ~bad]
    sigma = robust_std(values) if values.size else 0.0
    middle = float(np.median(values)) if values.size else 0.0
    sigma = sigma or 1.0
    axes.imshow(
        np.where(np.isfinite(shown), shown, np.nan),
        cmap="gray",
        vmin=middle - 3 * sigma,
        vmax=middle + 15 * sigma,
        origin="lower",
        extent=_extent(exposure.shape),
    )
    axes.set_title(f"{title} ({100 * bad.mean():.1f} % not usable)")


def _draw_pulls(axes: Axes, *, pulls: NDArray[np.float64]) -> None:
    shown = axes.imshow(
        np.asarray(_thin(pulls), float),
        cmap="coolwarm",
        vmin=-5,
        vmax=5,
        origin="lower",
        extent=_extent(pulls.shape),
    )
    axes.set_title("difference [sigma]")
    axes.figure.colorbar(shown, ax=axes, shrink=0.8)


def _draw_rms(axes: Axes, *, pulls: NDArray[np.float64]) -> None:
    rms = cell_rms(pulls)
    shown = axes.imshow(
        rms,
        cmap="viridis",
        vmin=_RMS_RANGE[0],
        vmax=_RMS_RANGE[1],
        origin="lower",
        extent=_extent(pulls.shape),
    )
    axes.set_title("rms of the difference [sigma]")
    axes.figure.colorbar(shown, ax=axes, shrink=0.8)


def cell_rms(pulls: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rms in cells of an image; NaN where nearly no pixel is usable."""
    ny, nx = (max(min(_CELLS, side // _MIN_CELL_PIXELS), 1) for side in pulls.shape)
    rows = np.array_split(np.arange(pulls.shape[0]), ny)
    columns = np.array_split(np.arange(pulls.shape[1]), nx)
    cells = np.full((ny, nx), np.nan)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            values = pulls[row[0] : row[-1] + 1, column[0] : column[-1] + 1]
            values = values[np.isfinite(values)]
            if values.size >= _MIN_CELL_PIXELS:
                cells[i, j] = np.sqrt(np.mean(values**2))
    return cells


def _draw_histogram(axes: Axes, *, pulls: NDArray[np.float64]) -> None:
    values = pulls[np.isfinite(pulls)]
    edges = np.linspace(-_PULL_RANGE, _PULL_RANGE, _BINS + 1)
    middles = (edges[:-1] + edges[1:]) / 2
    counts = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]
    axes.stairs(counts, edges, fill=True, color="tab:blue", alpha=0.6)
    unit = np.exp(-(middles**2) / 2) / np.sqrt(2 * np.pi)
    axes.plot(middles, values.size * unit * np.diff(edges), "k", label="unit Gaussian")
    if values.size:
        axes.set_yscale("log")
        axes.set_ylim(0.5, 2 * values.size)
    axes.set_xlabel("difference [sigma]")
    core = robust_std(values) if values.size else float("nan")
    axes.set_title(f"pixels: std {core:.3f} of the core")
    axes.legend(loc="lower center")


def _draw_psfs(axes: Axes, *, images: Images) -> None:
    for name, colour in _PSF_COLOURS.items():
        image: Exposure | Difference = getattr(images, name)
        row, column = _profiles(image.psf, image.shape)
        axes.plot(*row, color=colour, label=name)
        axes.plot(*column, color=colour, linestyle=":")
    axes.set_xlim(-15, 15)
    axes.set_xlabel("pixel (solid: along x, dotted: along y)")
    axes.set_title("PSF in the middle of the image")
    axes.legend()


def _profiles(
    psf: Psf, shape: tuple[int, int]
) -> tuple[
    tuple[NDArray[np.float64], NDArray[np.float64]],
    tuple[NDArray[np.float64], NDArray[np.float64]],
]:
    """Return the cuts through the middle of a PSF along x and y."""
    stamp = psf.centred_at((shape[1] - 1) / 2, (shape[0] - 1) / 2)
    ky, kx = stamp.shape
    return (
        (np.arange(kx) - kx // 2.0, stamp[ky // 2]),
        (np.arange(ky) - ky // 2.0, stamp[:, kx // 2]),
    )
