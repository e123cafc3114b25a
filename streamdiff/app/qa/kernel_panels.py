"""Panels about the matching kernel and how it varies over the image."""

from collections.abc import Callable, Iterator
from functools import partial
from math import ceil, sqrt

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from streamdiff.imaging.mosaic import grid_positions, kernel_mosaic, mosaic
from streamdiff.model import MatchingKernel

_MOSAIC_CELLS = 5
_MAP_CELLS = 24
# Kernel sums that vary by less are shown as one colour.
_SMALLEST_SPAN = 0.01
# A basis of delta functions has hundreds.
_MOST_SHOWN = 49


def panels(kernel: MatchingKernel) -> Iterator[Callable[[Axes], None]]:
    """Yield what draws the panels about a kernel."""
    yield partial(_draw_mosaic, kernel=kernel)
    yield partial(_draw_basis, kernel=kernel)
    yield partial(_draw_weights, kernel=kernel)
    yield partial(_draw_coefficients, kernel=kernel)
    yield partial(_draw_sum, kernel=kernel)
    yield partial(_draw_moments, kernel=kernel)


def _draw_mosaic(axes: Axes, *, kernel: MatchingKernel) -> None:
    laid = kernel_mosaic(kernel, _MOSAIC_CELLS)
    # the centre is far above the rest: show the structure of the wings
    peak = float(np.nanmax(np.abs(laid)))
    shown = axes.imshow(
        np.sign(laid) * np.sqrt(np.abs(laid) / peak),
        cmap="coolwarm",
        vmin=-1,
        vmax=1,
        origin="lower",
    )
    axes.set_title("matching kernel, signed square root")
    axes.set_axis_off()
    axes.figure.colorbar(shown, ax=axes, shrink=0.8)


def _draw_basis(axes: Axes, *, kernel: MatchingKernel) -> None:
    basis = kernel.basis[:_MOST_SHOWN]
    largest = np.abs(basis).max(axis=(1, 2), keepdims=True)
    _draw_stamps(axes, basis / np.where(largest > 0, largest, 1))
    axes.set_title(_counted("basis kernels", len(basis), len(kernel.basis)))


def _draw_weights(axes: Axes, *, kernel: MatchingKernel) -> None:
    x, y = grid_positions(kernel.image_shape, _MAP_CELLS)
    maps = kernel.weights(*np.meshgrid(x, y))[:_MOST_SHOWN]
    change = maps - maps.mean(axis=(1, 2), keepdims=True)
    largest = float(np.abs(change).max())
    _draw_stamps(axes, change / (largest or 1.0))
    axes.set_title(f"change of their weights, ±{largest:.2g}")


def _draw_stamps(axes: Axes, stamps: NDArray[np.float64]) -> None:
    columns = ceil(sqrt(len(stamps)))
    # The first at the top, each with its row 0 at the bottom.
    laid = mosaic(stamps[:, ::-1], columns)
    axes.imshow(laid, cmap="coolwarm", vmin=-1, vmax=1)
    axes.set_axis_off()


def _draw_coefficients(axes: Axes, *, kernel: MatchingKernel) -> None:
    numbers = np.arange(len(kernel.basis))
    sizes = np.abs(kernel.coefficients)
    axes.plot(numbers, sizes[:, 0], "ko", label="constant")
    if sizes.shape[1] > 1:
        axes.plot(numbers, sizes[:, 1:].max(axis=1), "r.", label="largest that varies")
    if sizes[:, 0].any():
        axes.set_yscale("log")
    axes.set_xlabel("basis kernel")
    axes.set_title("coefficients (size)")
    axes.legend()


def _draw_sum(axes: Axes, *, kernel: MatchingKernel) -> None:
    x, y = grid_positions(kernel.image_shape, _MAP_CELLS)
    height, width = kernel.image_shape
    weights = kernel.weights(*np.meshgrid(x, y))
    sums = np.tensordot(kernel.basis.sum(axis=(1, 2)), weights, 1)
    middle = kernel.centre_sum
    span = max(float(np.abs(sums - middle).max()), _SMALLEST_SPAN * abs(middle))
    shown = axes.imshow(
        sums,
        cmap="viridis",
        vmin=middle - span,
        vmax=middle + span,
        origin="lower",
        extent=(-0.5, width - 0.5, -0.5, height - 0.5),
    )
    axes.set_title(f"kernel sum, {middle:.4f} in the middle")
    axes.figure.colorbar(shown, ax=axes, shrink=0.8)


def _draw_moments(axes: Axes, *, kernel: MatchingKernel) -> None:
    """Draw by how much, and where to, the kernel moves what it is applied to."""
    x, y = grid_positions(kernel.image_shape, 2 * _MOSAIC_CELLS)
    columns, rows = np.meshgrid(x, y)
    ky, kx = kernel.shape
    v, u = np.mgrid[-(ky // 2) : ky // 2 + 1, -(kx // 2) : kx // 2 + 1]
    first = [(kernel.basis * w).sum(axis=(1, 2)) for w in (u, v)]
    weights = kernel.weights(columns, rows)
    total = np.tensordot(kernel.basis.sum(axis=(1, 2)), weights, 1)
    dx, dy = (np.tensordot(moment, weights, 1) / total for moment in first)
    axes.quiver(columns, rows, dx, dy, angles="xy")
    axes.set_aspect("equal")
    typical = float(np.hypot(dx, dy).mean())
    axes.set_title(f"centroid of the kernel, {typical:.3f} px off on average")


def _counted(what: str, shown: int, n: int) -> str:
    return f"{n} {what}" if shown == n else f"{shown} of {n} {what}"
