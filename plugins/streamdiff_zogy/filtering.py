"""Proper subtraction by Fourier transforms of blocks, with filters that may vary."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.blocks import Blocks
from streamdiff.imaging.strips import in_strips
from streamdiff_zogy.block_filters import NodeFilters, NoiseFilters, Spectrum, shift_of
from streamdiff_zogy.cell import Cell
from streamdiff_zogy.filter_field import FilterField
from streamdiff_zogy.pixels import PixelPair, doubtful

# Side of a block with one filter: a power of two is transformed fast. Sides of a cell
# between nodes of one that varies.
_BLOCK, _SMALLEST_CELL, _LARGEST_CELL = 256, 64, 256
_CELLS = 16
# Cells along each axis that share the filters of the noise.
_REGION = 4

_Window: TypeAlias = tuple[slice, slice]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Filtered:
    """What the filters made of two images; all of shape (ny, nx).

    Attributes
    ----------
    difference, power : ndarray of float32
        Difference, and its noise power at frequency 0.
    score, score_variance : ndarray of float32
        Difference filtered with its own PSF, and its variance.
    template_score : ndarray of float32
        What of the score was subtracted.
    matched_template : ndarray of float32, or None
        What of the difference was subtracted, where it was asked for.
    """

    difference: NDArray[np.float32]
    power: NDArray[np.float32]
    score: NDArray[np.float32]
    score_variance: NDArray[np.float32]
    template_score: NDArray[np.float32]
    matched_template: NDArray[np.float32] | None = None


def filter_pair(
    pair: PixelPair, field: FilterField, *, matched_template: bool = False
) -> Filtered:
    """Return the difference of two images, its score, and the noise of both.

    Parameters
    ----------
    pair : PixelPair
        With a margin of ``field.reach``.
    field : FilterField
    matched_template : bool
        Whether to keep what was subtracted.

    Notes
    -----
    Between nodes, difference and score are the bilinear means of those with the
    filters of the four nodes around: no seam shows. Variances follow the filters of
    the middle of a few cells; that of the score is brought to the local PSF.

    Blocks are transformed one by one: so they stay in the cache.
    """
    names = [f.name for f in fields(Filtered)]
    if not matched_template:
        names.remove("matched_template")
    planes = {name: np.empty(field.image_shape, np.float32) for name in names}
    blocks = _partition(field)
    engine = _Engine(pair=pair, filters=field, blocks=blocks, shift=shift_of(blocks))

    def fill(regions: slice) -> None:
        for window, cell in engine.cells(regions):
            y, x = (
                slice(side.start, side.start + size)
                for side, size in zip(window, engine.blocks.cell, strict=True)
            )
            pixels = engine.filtered(window, cell, matched_template=matched_template)
            for name, plane in planes.items():
                target = plane[y, x]
                target[:] = pixels[name][: target.shape[0], : target.shape[1]]

    in_strips(fill, -(-blocks.count[0] // _REGION))
    return Filtered(**planes)


def _partition(field: FilterField) -> Blocks:
    side = 2 * field.reach + 1
    cell = max(_BLOCK - side + 1, 4 * side)
    if not field.is_constant:
        wanted = min(field.image_shape) // _CELLS
        cell = int(np.clip(wanted, max(_SMALLEST_CELL, side), _LARGEST_CELL))
    return Blocks.of(field.image_shape, (side, side), cell)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Engine:
    """Filters on the blocks of two images."""

    pair: PixelPair
    filters: FilterField
    blocks: Blocks
    shift: Spectrum

    def cells(self, regions: slice) -> Iterator[tuple[_Window, Cell]]:
        """Yield the pixels that a cell depends on, margin included, and the cell.

        ``regions`` are rows of squares of cells whose variances share filters.
        """
        weight_y, weight_x = self.blocks.weights
        first = regions.start * _REGION
        below, noise = self._nodes(first), self._noise(first)
        for row in range(first, min(regions.stop * _REGION, len(weight_y))):
            along_y = weight_y[row]
            above = below if self.filters.is_constant else self._nodes(row + 1)
            if row > first and row % _REGION == 0 and not self.filters.is_constant:
                noise = self._noise(row)
            for column, along_x in enumerate(weight_x):
                yield (
                    self._window(row, column),
                    Cell(
                        blocks=self.blocks,
                        corners=(
                            *(below[column], below[column + 1]),
                            *(above[column], above[column + 1]),
                        ),
                        noise=noise[column // _REGION],
                        weights=(along_y[:, np.newaxis], along_x),
                    ),
                )
            below = above

    def filtered(
        self, window: _Window, cell: Cell, *, matched_template: bool
    ) -> dict[str, NDArray[np.float32]]:
        """Return the pixels of a cell, by the names of `Filtered`."""
        both = self.pair.science, self.pair.template
        science, template = (cell.transform(p.image[window]) for p in both)
        powers = [cell.transform(p.power[window]) for p in both]
        doubt, errors = self.pair.doubt[window], []
        if doubt.any():
            errors = [doubtful(p.image[window], doubt) for p in both]
        difference, score = cell.difference_and_score(science, template)
        power, score_variance = cell.variances(powers, errors)
        pixels = {
            "difference": difference,
            "power": power,
            "score": score,
            "score_variance": score_variance,
            "template_score": cell.template_score(template),
        }
        if matched_template:
            pixels["matched_template"] = cell.matched_template(template)
        return pixels

    def _nodes(self, row: int) -> list[NodeFilters]:
        """Return the filters at the nodes below a row of cells."""
        nodes_y, nodes_x = self.blocks.nodes
        if self.filters.is_constant:
            return [self._node(*self.filters.centre)] * len(nodes_x)
        return [self._node(x, nodes_y[row]) for x in nodes_x]

    def _node(self, x: float, y: float) -> NodeFilters:
        filters = self.filters.at(x, y, self.blocks.padded)
        return NodeFilters.of(filters, self.blocks, self.shift)

    def _noise(self, row: int) -> list[NoiseFilters]:
        """Return the filters of the noise of the regions that begin at a row."""
        nodes_y, nodes_x = self.blocks.nodes
        if self.filters.is_constant:
            noise = NoiseFilters.of(self.filters.at_centre, self.blocks)
            return [noise] * len(nodes_x)
        y = _middle(nodes_y, row)
        return [
            NoiseFilters.of(self.filters.stamps(_middle(nodes_x, i), y), self.blocks)
            for i in range(0, len(nodes_x) - 1, _REGION)
        ]

    def _window(self, row: int, column: int) -> _Window:
        y, x = (
            slice(i * cell, (i + 1) * cell + kernel - 1)
            for i, cell, kernel in zip(
                (row, column), self.blocks.cell, self.blocks.kernel_shape, strict=True
            )
        )
        return y, x


def _middle(nodes: list[float], first: int) -> float:
    """Return the middle of the region that begins at a node."""
    return (nodes[first] + nodes[min(first + _REGION, len(nodes) - 1)]) / 2
