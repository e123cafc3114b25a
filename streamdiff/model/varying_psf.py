"""Point spread functions that vary over an image: between nodes, or as polynomials."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from streamdiff.errors import InvalidExposureError
from streamdiff.model.field import field_order, field_terms
from streamdiff.model.planes import read_only
from streamdiff.model.psf import ConstantPsf, Psf, normalised, on_pixels


@dataclass(frozen=True, eq=False, kw_only=True)
class GridPsf:
    """PSFs at the nodes of a grid, joined by cubic splines.

    The interpolation is twice differentiable, passes through the nodes, and
    stays at the value of the border outside the grid.

    Attributes
    ----------
    stamps : ndarray of float64, shape (gy, gx, ky, kx)
        PSFs at the nodes, centred on their middle pixels.
    x, y : ndarray of float64, shape (gx,) and (gy,)
        Positions of the nodes [pixel], increasing.

    Raises
    ------
    InvalidExposureError
        If shapes do not fit, or a stamp breaks the rules of `ConstantPsf`.
    """

    stamps: NDArray[np.float64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]

    def __post_init__(self) -> None:
        stamps = np.asarray(self.stamps, float)
        x, y = (np.atleast_1d(np.asarray(v, float)) for v in (self.x, self.y))
        if stamps.ndim != 4 or stamps.shape[:2] != (y.size, x.size):
            raise InvalidExposureError(
                f"PSF grid {stamps.shape} does not fit {y.size} x {x.size} nodes"
            )
        if any((np.diff(v) <= 0).any() for v in (x, y)):
            raise InvalidExposureError("PSF grid: positions of nodes must increase")
        flat = normalised(stamps.reshape(-1, *stamps.shape[2:]))
        object.__setattr__(self, "stamps", read_only(flat.reshape(stamps.shape)))
        object.__setattr__(self, "x", read_only(x))
        object.__setattr__(self, "y", read_only(y))

    @property
    def shape(self) -> tuple[int, int]:
        """Return the odd sides (ky, kx) of every stamp."""
        ky, kx = self.stamps.shape[2:]
        return ky, kx

    @cached_property
    def _cardinal_x(self) -> CubicSpline | None:
        return _cardinal_splines(self.x)

    @cached_property
    def _cardinal_y(self) -> CubicSpline | None:
        return _cardinal_splines(self.y)

    def centred_at(self, x: float, y: float) -> NDArray[np.float64]:
        """Return the PSF at (x, y), centred on the middle pixel of its stamp."""
        one: NDArray[np.float64] = self.centred_at_each(np.array([x]), np.array([y]))[0]
        return one

    def centred_at_each(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the PSFs at positions as `centred_at` does, shape (n, ky, kx)."""
        weights, parts = self.parts_at(x, y)
        stamps: NDArray[np.float64] = weights @ parts.reshape(len(parts), -1)
        return stamps.reshape(len(x), *self.shape)

    def parts_at(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return weights, shape (n, k), of stamps, shape (k, ky, kx), at positions.

        The PSF is the sum of the stamps by their weights.
        """
        wx = _spline_weights(self._cardinal_x, self.x, x)
        wy = _spline_weights(self._cardinal_y, self.y, y)
        gy, gx, ky, kx = self.stamps.shape
        weights = (wy[:, :, np.newaxis] * wx[:, np.newaxis]).reshape(len(x), gy * gx)
        return weights, self.stamps.reshape(gy * gx, ky, kx)

    def at(self, x: float, y: float) -> NDArray[np.float64]:
        """Return the PSF of a star at (x, y), on whole image pixels."""
        return on_pixels(self.centred_at(x, y), x, y)


@dataclass(frozen=True, eq=False, kw_only=True)
class PolynomialPsf:
    """A PSF estimated from stars: every pixel a polynomial of the position.

    Attributes
    ----------
    coefficients : ndarray of float64, shape (n_terms, ky, kx)
        Coefficients of the terms of `streamdiff.model.field.field_terms`. On
        construction those of the first term are made to sum to 1 over the
        stamp, those of every other term to 0.
    image_shape : tuple of int
        (height, width) of the image; positions outside count as its border.

    Raises
    ------
    InvalidExposureError
        If shapes do not fit, or the first term breaks the rules of
        `ConstantPsf`.
    """

    coefficients: NDArray[np.float64]
    image_shape: tuple[int, int]

    def __post_init__(self) -> None:
        coefficients = np.array(self.coefficients, float)
        try:
            field_order(len(coefficients))
        except ValueError as err:
            raise InvalidExposureError(f"PSF coefficients: {err}") from err
        coefficients[:1] = normalised(coefficients[:1])
        sums = coefficients[1:].sum(axis=(1, 2), keepdims=True)
        coefficients[1:] -= sums * coefficients[0]
        object.__setattr__(self, "coefficients", read_only(coefficients))

    @property
    def shape(self) -> tuple[int, int]:
        """Return the odd sides (ky, kx) of every stamp."""
        ky, kx = self.coefficients.shape[1:]
        return ky, kx

    def centred_at(self, x: float, y: float) -> NDArray[np.float64]:
        """Return the PSF at (x, y), centred on the middle pixel of its stamp."""
        one: NDArray[np.float64] = self.centred_at_each(np.array([x]), np.array([y]))[0]
        return one

    def centred_at_each(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the PSFs at positions as `centred_at` does, shape (n, ky, kx)."""
        stamps: NDArray[np.float64] = np.tensordot(*self.parts_at(x, y), 1)
        return stamps

    def parts_at(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return weights, shape (n, k), of stamps, shape (k, ky, kx), at positions.

        The PSF is the sum of the stamps by their weights.
        """
        height, width = self.image_shape
        x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
        order = field_order(len(self.coefficients))
        terms = field_terms(x, y, order, self.image_shape)
        return terms.T, self.coefficients

    def at(self, x: float, y: float) -> NDArray[np.float64]:
        """Return the PSF of a star at (x, y), on whole image pixels."""
        return on_pixels(self.centred_at(x, y), x, y)


def sample_on_grid(
    psf: Psf, image_shape: tuple[int, int], nodes: int = 5
) -> GridPsf | ConstantPsf:
    """Return any PSF as one that a file can hold.

    Parameters
    ----------
    psf : Psf
        A constant PSF is returned as it is.
    image_shape : tuple of int
        (height, width) of the image.
    nodes : int
        Nodes along each axis, the first and last on the border pixels.
    """
    if isinstance(psf, ConstantPsf | GridPsf):
        return psf
    y, x = (np.linspace(0, max(n - 1, 1), nodes) for n in image_shape)
    stamps = np.array([[psf.centred_at(u, v) for u in x] for v in y])
    return GridPsf(stamps=stamps, x=x, y=y)


def _cardinal_splines(nodes: NDArray[np.float64]) -> CubicSpline | None:
    """Return the splines that are 1 on one node and 0 on the others."""
    return CubicSpline(nodes, np.eye(nodes.size)) if nodes.size > 1 else None


def _spline_weights(
    splines: CubicSpline | None,
    nodes: NDArray[np.float64],
    positions: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the weights of nodes at positions, shape (n, n_nodes)."""
    if splines is None:
        return np.ones((len(positions), 1))
    weights: NDArray[np.float64] = splines(np.clip(positions, nodes[0], nodes[-1]))
    return weights
