"""Proper subtraction by Fourier transforms of blocks, with filters that may vary."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.blocks import Blocks, mix
from streamdiff_zogy.filter_field import FilterField, FilterStamps, middle
from streamdiff_zogy.filters import ProperFilters
from streamdiff_zogy.pixels import PixelPair

# Sides of a block with one filter, and of a cell between nodes of one that varies.
_BLOCK, _SMALLEST_CELL, _LARGEST_CELL = 512, 64, 256
_CELLS = 16

_Spectra = NDArray[np.complex64]
_Cells = NDArray[np.float32]


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
    """

    difference: NDArray[np.float32]
    power: NDArray[np.float32]
    score: NDArray[np.float32]
    score_variance: NDArray[np.float32]
    template_score: NDArray[np.float32]


def filter_pair(pair: PixelPair, field: FilterField) -> Filtered:
    """Return the difference of two images, its score, and the noise of both.

    Notes
    -----
    Between nodes, difference and score are the bilinear means of those with the
    filters of the four nodes around: no seam shows. Variances follow the filters of
    the middle of each cell. Beyond the border is the mirror image.
    """
    shape = pair.science.image.shape
    results = [np.empty(shape, np.float32) for _ in range(5)]
    engine = _Engine.of(field)
    for row, cells in engine.rows(pair):
        for plane, strip in zip(results, cells, strict=True):
            engine.blocks.paste(plane, row, strip)
    difference, score, template_score, power, score_variance = results
    return Filtered(
        difference=difference,
        power=power,
        score=score,
        score_variance=score_variance,
        template_score=template_score,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Engine:
    """Filters on the blocks of an image.

    Attributes
    ----------
    field : FilterField
    blocks : Blocks
    shift : ndarray of complex64, shape (height, width // 2 + 1)
        Moves what is filtered to where `Blocks.invert` expects it.
    """

    field: FilterField
    blocks: Blocks
    shift: _Spectra

    @classmethod
    def of(cls, field: FilterField) -> "_Engine":
        side = 2 * field.reach + 1
        cell = _BLOCK
        if not field.is_constant:
            wanted = min(field.image_shape) // _CELLS
            cell = int(np.clip(wanted, max(_SMALLEST_CELL, side), _LARGEST_CELL))
        blocks = Blocks.of(field.image_shape, (side, side), cell)
        delta = np.zeros((side, side))
        delta[field.reach, field.reach] = 1
        return cls(field=field, blocks=blocks, shift=blocks.transform(delta))

    def rows(self, pair: PixelPair) -> Iterator[tuple[int, tuple[_Cells, ...]]]:
        """Yield the number and the cells of each row, in the order of `filter_pair`."""
        planes = (
            pair.science.image,
            pair.template.image,
            pair.science.power,
            pair.template.power,
        )
        spectra = zip(*(self.blocks.rows(p, "mirror") for p in planes), strict=True)
        below = self._nodes(0)
        for (row, science), (_, template), *powers in spectra:
            above = below if self.field.is_constant else self._nodes(row + 1)
            difference, score = self._blended(row, (science, template), below, above)
            template_score, power, score_variance = self._of_cells(
                row, template, (powers[0][1], powers[1][1])
            )
            yield row, (difference, score, template_score, power, score_variance)
            below = above

    def _nodes(self, row: int) -> ProperFilters:
        """Return the filters at the nodes below a row of cells."""
        nodes_y, nodes_x = self.blocks.nodes
        if self.field.is_constant:
            x, y = self.field.centre
            return self.field.along([x], y, self.blocks.padded)
        return self.field.along(nodes_x, nodes_y[row], self.blocks.padded)

    def _blended(
        self,
        row: int,
        images: tuple[_Spectra, _Spectra],
        below: ProperFilters,
        above: ProperFilters,
    ) -> _Cells:
        """Return difference and score; shape (2, n_cells, height, width)."""
        if self.field.is_constant:
            return self._filtered(images, below, slice(None))
        weight_y, weight_x = self.blocks.weights
        across = weight_x[:, np.newaxis, :]
        left, right = slice(None, -1), slice(1, None)
        lower, upper = (
            mix(
                self._filtered(images, nodes, left),
                self._filtered(images, nodes, right),
                across,
            )
            for nodes in (below, above)
        )
        return mix(lower, upper, weight_y[row][:, np.newaxis])

    def _filtered(
        self, images: tuple[_Spectra, _Spectra], nodes: ProperFilters, which: slice
    ) -> _Cells:
        science, template = images
        spectra = np.empty((2, *science.shape), np.complex64)
        spectra[0] = science * nodes.science[which]
        spectra[0] -= template * nodes.template[which]
        spectra[0] *= self.shift
        np.multiply(spectra[0], np.conj(nodes.psf[which]), out=spectra[1])
        return self.blocks.invert(spectra)

    def _of_cells(
        self, row: int, template: _Spectra, powers: tuple[_Spectra, _Spectra]
    ) -> tuple[_Cells, ...]:
        """Return score of the template, noise power, and variance of the score."""
        stamps = self._cell_stamps(row)
        side = self.blocks.kernel_shape[0]

        def transform(filters: NDArray[np.float64]) -> _Spectra:
            return self.blocks.transform(middle(filters, side))

        def propagate(
            science: NDArray[np.float64], template: NDArray[np.float64]
        ) -> _Cells:
            power = powers[0] * transform(np.square(science))
            power += powers[1] * transform(np.square(template))
            return self.blocks.invert(power)

        return (
            self.blocks.invert(template * transform(stamps.template_score)),
            propagate(stamps.science, stamps.template),
            propagate(stamps.science_score, stamps.template_score),
        )

    def _cell_stamps(self, row: int) -> FilterStamps:
        if self.field.is_constant:
            return self.field.at_centre
        nodes_y, nodes_x = self.blocks.nodes
        x = (np.array(nodes_x[:-1]) + nodes_x[1:]) / 2
        return self.field.stamps(list(x), (nodes_y[row] + nodes_y[row + 1]) / 2)
