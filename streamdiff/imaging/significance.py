"""The significance of a point source at every pixel: a matched filter."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from streamdiff.imaging.blocks import Blocks
from streamdiff.imaging.compiled import compiled
from streamdiff.imaging.matched_filter import MatchedFilter
from streamdiff.imaging.seen import is_seen
from streamdiff.imaging.strips import in_strips
from streamdiff.model import Difference, MaskPlane
from streamdiff.model.planes import read_only

# Of the cells of some blocks: their first row and column there, the first column of
# the first one on the image, and their width.
_Place = tuple[int, int, int, int]


def significance(
    difference: Difference, *, exclude: MaskPlane, min_power: float = 0.5
) -> NDArray[np.float32]:
    """Return flux over its error, of a point source on each pixel of a difference.

    See `significances`; shape (ny, nx) [sigma].
    """
    return significances(difference, (), exclude=exclude, min_power=min_power)[0]


def significances(
    difference: Difference,
    others: Sequence[NDArray[np.float32]],
    *,
    exclude: MaskPlane,
    min_power: float = 0.5,
) -> list[NDArray[np.float32]]:
    """Return the significance of point sources on a difference, and on other images.

    Parameters
    ----------
    difference : Difference
        Its noise is white but for its covariance factor.
    others : sequence of ndarray of float32, shape (ny, nx)
        Filtered as the difference is, and divided by the same noise.
    exclude : MaskPlane
        Pixels of these planes take no part; neither do those whose difference is not
        finite or whose variance is not finite and positive.
    min_power : float
        Least fraction of the PSF's power, the sum of its squares, that must be
        on pixels that take part, in (0, 1]; elsewhere the significance is 0.

    Returns
    -------
    list of ndarray of float32, shape (ny, nx)
        Flux over its error [sigma], of a source on each pixel.

    Notes
    -----
    With the local PSF P, the difference D, its variance V, the covariance factor c
    and weights w of 1 on good pixels and 0 elsewhere, the least-squares flux over
    its error is sum(w D P) / sqrt(c sum(w V P^2)).

    Weights of 1 / V would be deeper where V varies within a PSF, but V is often
    made from the pixels themselves: one that is bright by chance would weigh less,
    and blank sky of few photons would no longer have mean 0.

    It is done in rows of blocks: neither noise nor weights of all pixels are kept. It
    takes about as long as two transforms of each whole image and of the variance.
    """
    matched = MatchedFilter.of(difference.psf, difference.shape)
    planes = _Planes.of(difference, others, exclude)
    results = [np.empty(difference.shape, np.float32) for _ in planes.images]
    height, width = matched.blocks.cell

    def fill(rows: slice) -> None:
        strips = _Strips.of(matched.blocks, len(results))
        for row in range(rows.start, rows.stop):
            strips.take_in(planes, row)
            seen = is_seen(
                strips.around(row, matched.core.shape), matched.core, min_power
            )
            own = slice(row * height, row * height + len(seen))
            for columns in matched.batches():
                place = (*matched.spoilt, columns.start * width, width)
                power = matched.power.spectra(row, columns)
                variance, *images = strips.windows[:, columns]
                noise = matched.filtered(variance, power)
                _to_deviations(noise, place, planes.factor_of(own), seen)
                profile = matched.profile.spectra(row, columns)
                for image, result in zip(images, results, strict=True):
                    flux = matched.filtered(image, profile)
                    _paste_ratios(flux, noise, place, result[own])

    in_strips(fill, matched.blocks.count[0])
    return results


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Planes:
    """What is filtered; every plane has the shape (ny, nx)."""

    images: list[NDArray[np.float32]]
    variance: NDArray[np.float32]
    mask: NDArray[np.int32]
    exclude: np.int32
    factor: NDArray[np.float32]

    @classmethod
    def of(
        cls,
        difference: Difference,
        others: Sequence[NDArray[np.float32]],
        exclude: MaskPlane,
    ) -> "_Planes":
        # One row stands for all where the factor is the same everywhere.
        factor = np.atleast_2d(np.float32(difference.covariance_factor))
        factor = np.broadcast_to(factor, (len(factor), difference.shape[1]))
        images = (difference.image, *(np.asarray(o, np.float32) for o in others))
        return cls(
            images=[_plain(image) for image in images],
            variance=_plain(difference.variance),
            mask=_plain(difference.mask),
            exclude=np.int32(exclude),
            factor=_plain(factor),
        )

    def factor_of(self, rows: slice) -> NDArray[np.float32]:
        """Return the covariance factor of rows, or one row for all of them."""
        return self.factor[rows] if len(self.factor) > 1 else self.factor


def _plain(plane: NDArray[Any]) -> NDArray[Any]:
    """Return a plane as compiled functions know all of them."""
    return read_only(np.ascontiguousarray(plane))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Strips:
    """A row of blocks, margins included, 0 where a pixel takes no part.

    Attributes
    ----------
    blocks : Blocks
    good : ndarray of bool, shape (height, length)
        Pixels that take part.
    planes : ndarray of float32, shape (1 + n, height, length)
        The variance, and images.
    windows : ndarray of float32, shape (1 + n, n_columns, height, width)
        The blocks of these planes.
    """

    blocks: Blocks
    good: NDArray[np.bool_]
    planes: NDArray[np.float32]
    windows: NDArray[np.float32]

    @classmethod
    def of(cls, blocks: Blocks, n_images: int) -> "_Strips":
        """Return strips without values yet."""
        (height, width), (n_columns, cell) = (
            blocks.padded,
            (blocks.count[1], blocks.cell[1]),
        )
        shape = height, (n_columns - 1) * cell + width
        planes = np.empty((1 + n_images, *shape), np.float32)
        windows = sliding_window_view(planes, width, axis=2)[:, :, ::cell]
        return cls(
            blocks=blocks,
            good=np.empty(shape, np.bool_),
            planes=planes,
            windows=windows.transpose(0, 2, 1, 3),
        )

    def take_in(self, planes: _Planes, row: int) -> None:
        """Fill in the pixels of a row of blocks."""
        above, left = (k // 2 for k in self.blocks.kernel_shape)
        place = row * self.blocks.cell[0] - above, left
        (image, *others), (noise, strip, *rest) = planes.images, self.planes
        given = image, planes.variance, planes.mask, planes.exclude
        _take_in(*given, place, self.good, strip, noise)
        for other, strip in zip(others, rest, strict=True):
            _take_in_other(other, place, self.good, strip)

    def around(self, row: int, stamp: tuple[int, ...]) -> NDArray[np.bool_]:
        """Return which pixels of a row, and of those a stamp reaches, are good."""
        (ny, nx), blocks = self.blocks.shape, self.blocks
        n_rows = min(blocks.cell[0], ny - row * blocks.cell[0])
        (ky, kx), (above, before) = stamp, blocks.kernel_shape
        top, left = above // 2 - ky // 2, before // 2 - kx // 2
        return self.good[top : top + n_rows + ky - 1, left : left + nx + kx - 1]


@compiled
def _take_in(
    image: NDArray[np.float32],
    variance: NDArray[np.float32],
    mask: NDArray[np.int32],
    exclude: np.int32,
    place: tuple[int, int],
    good: NDArray[np.bool_],
    strip: NDArray[np.float32],
    noise: NDArray[np.float32],
) -> None:
    """Copy what counts of the rows from the top of a place on; all else is 0."""
    (top, left), (height, width) = place, image.shape
    right = min(left + width, good.shape[1])
    for i in range(good.shape[0]):
        y = top + i
        good[i, :left], good[i, right:] = False, False
        strip[i, :left], strip[i, right:] = 0, 0
        noise[i, :left], noise[i, right:] = 0, 0
        if y < 0 or y >= height:
            good[i], strip[i], noise[i] = False, 0, 0
            continue
        values, squares, bits = image[y], variance[y], mask[y]
        counts, kept, kept_squares = good[i, left:], strip[i, left:], noise[i, left:]
        for x in range(right - left):
            value, square = values[x], squares[x]
            known = np.isfinite(value) & np.isfinite(square) & (square > 0)
            known &= (bits[x] & exclude) == 0
            counts[x] = known
            kept[x] = value if known else np.float32(0)
            kept_squares[x] = square if known else np.float32(0)


@compiled
def _take_in_other(
    plane: NDArray[np.float32],
    place: tuple[int, int],
    good: NDArray[np.bool_],
    strip: NDArray[np.float32],
) -> None:
    """Copy what counts and is finite of the rows from the top of a place on."""
    (top, left), (height, width) = place, plane.shape
    right = min(left + width, strip.shape[1])
    for i in range(strip.shape[0]):
        y = top + i
        strip[i, :left], strip[i, right:] = 0, 0
        if y < 0 or y >= height:
            strip[i] = 0
            continue
        values, counts, kept = plane[y], good[i, left:], strip[i, left:]
        for x in range(right - left):
            used = counts[x] & np.isfinite(values[x])
            kept[x] = values[x] if used else np.float32(0)


@compiled
def _to_deviations(
    variance: NDArray[np.float32],
    place: _Place,
    factor: NDArray[np.float32],
    seen: NDArray[np.bool_],
) -> None:
    """Take the roots where enough of the PSF is seen, infinity elsewhere.

    Rounding of the transforms: no noise is where no variance was.
    """
    top, left, start, cell = place
    height, width = seen.shape
    for i in range(len(variance)):
        first = start + i * cell
        for y in range(height):
            row = variance[i, top + y, left:]
            times, known = factor[y % len(factor), first:], seen[y, first:]
            for x in range(min(cell, width - first)):
                is_known = known[x] & (row[x] > 0)
                row[x] = np.sqrt(row[x] * times[x] if is_known else np.float32(np.inf))


@compiled
def _paste_ratios(
    flux: NDArray[np.float32],
    noise: NDArray[np.float32],
    place: _Place,
    result: NDArray[np.float32],
) -> None:
    """Fill in the cells over their noise; what is too large for a number becomes 0."""
    top, left, start, cell = place
    height, width = result.shape
    for i in range(len(flux)):
        first = start + i * cell
        for y in range(height):
            above, below = flux[i, top + y, left:], noise[i, top + y, left:]
            target = result[y, first:]
            for x in range(min(cell, width - first)):
                ratio = above[x] / below[x]
                target[x] = ratio if np.isfinite(ratio) else np.float32(0)
