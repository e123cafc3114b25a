"""Connected pixels of a plane."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Footprints:
    """Sets of pixels that touch each other, also at corners.

    They cost memory and time by the number of their pixels, not of the plane's.

    Attributes
    ----------
    pixels : ndarray of int64, shape (n_pixels,)
        Where they are in the flat plane, increasing.
    labels : ndarray of int32, shape (n_pixels,)
        The footprint, from 0, of each pixel.
    n : int
    """

    pixels: NDArray[np.int64]
    labels: NDArray[np.int32]
    n: int

    @classmethod
    def of(cls, plane: NDArray[np.bool_]) -> "Footprints":
        """Return the footprints of the True pixels."""
        pixels, width = np.flatnonzero(plane), plane.shape[1]
        if not pixels.size:
            return cls(pixels=pixels, labels=np.zeros(0, np.int32), n=0)
        columns = pixels % width
        # To the right, and to the three below: the others follow by symmetry.
        steps = ((1, 1), (width - 1, -1), (width, 0), (width + 1, 1))
        pairs = [
            _neighbours(
                pixels, step, (columns + across >= 0) & (columns + across < width)
            )
            for step, across in steps
        ]
        ones, others = np.concatenate(pairs, axis=1)
        graph = coo_array(
            (np.ones(ones.size, np.int8), (ones, others)), (pixels.size, pixels.size)
        )
        n, labels = connected_components(graph, directed=False)
        return cls(pixels=pixels, labels=labels, n=int(n))

    def with_any(self, plane: NDArray[np.bool_]) -> "Footprints":
        """Return those that have a True pixel."""
        kept = self.mean(plane.flat[self.pixels]) > 0
        inside = kept[self.labels]
        numbers = np.cumsum(kept, dtype=np.int32) - 1
        return Footprints(
            pixels=self.pixels[inside],
            labels=numbers[self.labels[inside]],
            n=int(kept.sum()),
        )

    def mean(self, values: NDArray[np.generic]) -> NDArray[np.float64]:
        """Return the mean value, of given ones at the pixels, of each footprint."""
        size = np.bincount(self.labels, minlength=self.n)
        mean: NDArray[np.float64] = np.bincount(self.labels, values, self.n) / size
        return mean


def _neighbours(
    pixels: NDArray[np.int64], step: int, inside: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Return the numbers of pixels, and of those that are a step behind them."""
    sought = pixels + step
    found = np.searchsorted(pixels, sought)
    known = inside & (found < pixels.size)
    known[known] = pixels[found[known]] == sought[known]
    return np.array([np.flatnonzero(known), found[known]])
