"""Kernels that vary smoothly over an image: sums of few kernels with smooth weights."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline

from streamdiff.imaging.strips import in_strips
from streamdiff.model import MatchingKernel
from streamdiff.model.field import field_terms

# Nodes for each order of a polynomial that cubic splines do not follow exactly.
_CUBIC, _NODES = 3, 6
# Rows that are multiplied together: they fit the cache.
_ROWS = 32


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Nodes:
    """Positions on an image, the corners of a grid, that cubic splines join.

    Attributes
    ----------
    x, y : ndarray of float64, shape (gx,) and (gy,)
        Columns and rows [pixel], increasing. A single one stands for all.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]

    @classmethod
    def spread(cls, image_shape: tuple[int, int], count: tuple[int, int]) -> "Nodes":
        """Return (gy, gx) nodes, the outer ones on the border; one is in the middle."""
        y, x = (
            np.linspace(0, max(n - 1, 1), c) if c > 1 else np.array([(n - 1) / 2])
            for n, c in zip(image_shape, count, strict=True)
        )
        return cls(x=x, y=y)

    @property
    def shape(self) -> tuple[int, int]:
        """Return (gy, gx)."""
        return self.y.size, self.x.size

    @property
    def positions(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return x and y of every node, row by row; shape (gy * gx,)."""
        x, y = np.meshgrid(self.x, self.y)
        return x.ravel(), y.ravel()

    def along(self, axis: int, positions: ArrayLike) -> NDArray[np.float64]:
        """Return the share of each node of an axis in a value at positions.

        Its shape is (n_positions, gy) for axis 0 and (n_positions, gx) for axis 1;
        beyond the outer nodes the value stays as it is there.
        """
        positions, nodes = np.asarray(positions, float), (self.y, self.x)[axis]
        if nodes.size == 1:
            return np.ones((len(positions), 1))
        splines = CubicSpline(nodes, np.eye(nodes.size))
        shares: NDArray[np.float64] = splines(np.clip(positions, nodes[0], nodes[-1]))
        return shares

    def multiply(self, plane: NDArray[np.float32], values: NDArray[np.float64]) -> None:
        """Multiply an image, in place, by what has these values at the nodes.

        Parameters
        ----------
        plane : ndarray of float32, shape (ny, nx)
        values : ndarray of float64, shape (gy, gx)
        """
        rows, columns = (
            self.along(axis, np.arange(n)) for axis, n in enumerate(plane.shape)
        )
        left, right = (rows @ values).astype(np.float32), columns.T.astype(np.float32)

        def multiply(strip: slice) -> None:
            for number in range(strip.start, strip.stop):
                part = slice(number * _ROWS, (number + 1) * _ROWS)
                plane[part] *= left[part] @ right

        in_strips(multiply, -(-len(plane) // _ROWS))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KernelField:
    """A kernel as a function of the position.

    Attributes
    ----------
    kernels : ndarray of float64, shape (n, ky, kx)
        With odd sides, centred on their middle pixels.
    weights : ndarray of float64, shape (n - 1, gy, gx)
        Of all kernels but the first, whose weight is 1 everywhere, at the nodes.
    nodes : Nodes
    """

    kernels: NDArray[np.float64]
    weights: NDArray[np.float64]
    nodes: Nodes

    @classmethod
    def of(
        cls, kernels: NDArray[np.float64], nodes: Nodes, *, tolerance: float = 1e-3
    ) -> "KernelField":
        """Return what comes near kernels that are known at the nodes.

        Parameters
        ----------
        kernels : ndarray of float64, shape (gy * gx, ky, kx)
            Row by row.
        nodes : Nodes
        tolerance : float
            Largest root of the squared error at a node, over that of the kernel.

        Notes
        -----
        The first kernel is their mean, the others are principal components.
        """
        flat = kernels.reshape(len(kernels), -1)
        mean = flat.mean(axis=0)
        rest = flat - mean
        # The Gram matrix of the nodes is smaller than the one of the pixels.
        power, vectors = np.linalg.eigh(rest @ rest.T)
        limit = tolerance**2 * np.square(flat).sum(axis=1)
        missing = np.square(rest).sum(axis=1)
        found: list[NDArray[np.float64]] = []
        for i in np.argsort(power)[::-1]:
            if (missing <= limit).all():
                break
            found.append(vectors[:, i])
            missing = missing - power[i] * np.square(vectors[:, i])
        components = np.array([mean, *(vector @ rest for vector in found)])
        return cls(
            kernels=components.reshape(-1, *kernels.shape[1:]),
            weights=np.array(found).reshape(-1, *nodes.shape),
            nodes=nodes,
        )

    @classmethod
    def of_match(cls, kernel: MatchingKernel) -> "KernelField":
        """Return a matching kernel, exactly up to order 3.

        Cubic splines through a node more than the order are its polynomials; those
        of higher orders are followed from node to node.
        """
        side = kernel.order + 1 if kernel.order <= _CUBIC else _NODES * kernel.order
        nodes = Nodes.spread(kernel.image_shape, (side, side))
        terms = field_terms(*nodes.positions, kernel.order, kernel.image_shape)
        return cls(
            kernels=np.tensordot(kernel.coefficients.T, kernel.basis, 1),
            weights=terms[1:].reshape(-1, side, side),
            nodes=nodes,
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Return the odd sides (ky, kx)."""
        ky, kx = self.kernels.shape[1:]
        return ky, kx

    @property
    def is_constant(self) -> bool:
        """Return whether it is the same everywhere."""
        return len(self.kernels) == 1

    def at(self, x: float, y: float) -> NDArray[np.float64]:
        """Return the kernel at a position [pixel]; shape (ky, kx)."""
        kernel: NDArray[np.float64] = self.on_grid(np.array([x]), np.array([y]))[0, 0]
        return kernel

    def on_grid(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the kernels of columns and rows; shape (y.size, x.size, ky, kx)."""
        of_columns = self.nodes.along(1, x)
        of_rows = self.nodes.along(0, y)
        weights = of_rows @ self.weights @ of_columns.T
        kernels: NDArray[np.float64] = self.kernels[0] + np.tensordot(
            weights, self.kernels[1:], axes=(0, 0)
        )
        return kernels


def trimmed(stamps: NDArray[Any], size: NDArray[Any], cut: float) -> NDArray[Any]:
    """Return the middles of stamps that hold nearly all of a size.

    Parameters
    ----------
    stamps, size : ndarray of float, shape (n, ky, kx)
        With odd sides.
    cut : float
        Part of the sum of ``size`` that may be cut off.
    """
    ky, kx = stamps.shape[1:]
    y, x = (np.abs(np.arange(k) - k // 2) for k in (ky, kx))
    radius = np.maximum(y[:, np.newaxis], x)
    held = np.cumsum(np.bincount(radius.ravel(), weights=size.sum(axis=0).ravel()))
    reach = int(np.searchsorted(held, (1 - cut) * held[-1]))
    top, left = (max(k // 2 - reach, 0) for k in (ky, kx))
    return stamps[:, top : ky - top, left : kx - left]


def cropped(stamps: NDArray[Any], size: NDArray[Any], cut: float) -> NDArray[Any]:
    """Return the middles of stamps that hold nearly all of a size, of the same sums.

    What was cut off is spread over the rest: a scale would change the variance that
    a filter leaves, an even addition changes frequency 0 alone.

    Parameters
    ----------
    stamps, size, cut
        See `trimmed`.
    """
    middles = trimmed(stamps, size, cut)
    lost = stamps.sum(axis=(1, 2), dtype=float) - middles.sum(axis=(1, 2), dtype=float)
    added = lost / np.prod(middles.shape[1:])
    completed: NDArray[Any] = middles + added[:, np.newaxis, np.newaxis]
    return completed
