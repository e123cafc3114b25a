"""Point spread functions: one stamp per position.

Every PSF is a function of position on its image. Its stamps have odd sides and
sum to 1; the PSF sits on the middle pixel (`Psf.centred_at`) or a fraction of a
pixel beside it (`Psf.at`).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline

from streamdiff.errors import InvalidExposureError
from streamdiff.model.field import field_order, field_terms
from streamdiff.model.planes import read_only

# Of a Gaussian.
FWHM_PER_SIGMA = float(np.sqrt(8 * np.log(2)))


@runtime_checkable
class Psf(Protocol):
    """A point spread function that may vary over an image."""

    @property
    def shape(self) -> tuple[int, int]:
        """Return the odd sides (ky, kx) of every stamp."""
        ...

    def centred_at(self, x: float, y: float) -> NDArray[np.float64]:
        """Return the PSF at (x, y), centred on the middle pixel of its stamp."""
        ...

    def at(self, x: float, y: float) -> NDArray[np.float64]:
        """Return the PSF of a star at (x, y), on whole image pixels.

        The middle pixel of the stamp is the image pixel nearest to (x, y), see
        `nearest_pixel`; the PSF is shifted by the remaining fraction.
        """
        ...


def nearest_pixel(x: float, y: float) -> tuple[int, int]:
    """Return the column and row of the pixel that holds the position (x, y)."""
    return int(np.floor(x + 0.5)), int(np.floor(y + 0.5))


def shift_stamp(
    stamp: NDArray[np.float64], dx: float, dy: float
) -> NDArray[np.float64]:
    """Return a stamp moved by a fraction of a pixel, its sum unchanged.

    Parameters
    ----------
    stamp : ndarray of float64, shape (ky, kx)
        A well-sampled profile that fades to 0 at its border.
    dx, dy : float
        Shift to larger column and row [pixel], at most 1 in size.
    """
    if dx == 0 and dy == 0:
        return stamp
    ky, kx = stamp.shape
    moved: NDArray[np.float64] = shift_matrix(ky, dy) @ stamp @ shift_matrix(kx, dx).T
    total = moved.sum()
    return moved * (stamp.sum() / total) if total != 0 else moved


def shift_matrix(size: int, shift: ArrayLike) -> NDArray[np.float64]:
    """Return the matrices that shift a sampled profile by sinc interpolation.

    Parameters
    ----------
    size : int
        Number of samples.
    shift : array_like of float
        Shifts [pixel].

    Returns
    -------
    ndarray of float64, shape (*shift.shape, size, size)

    Notes
    -----
    There is no window because a PSF fades to 0 at the border of its stamp: that
    of Lanczos' with 5 lobes alone changes any PSF by 2e-3 of its peak. What
    remains is undersampling: a Gaussian of 3 px FWHM keeps its shape to 6e-5 of
    its peak, one of 3.5 px to 3e-6, and of 2 px, which is undersampled, to 7e-3.
    """
    shift = np.asarray(shift, float)[..., np.newaxis]
    return toeplitz(np.sinc(np.arange(1 - size, size) - shift))


def toeplitz(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return square matrices whose values depend on row minus column alone.

    Parameters
    ----------
    values : ndarray of float64, shape (..., 2 * size - 1)
        For the differences ``1 - size`` to ``size - 1``.

    Returns
    -------
    ndarray of float64, shape (..., size, size)
    """
    size = (values.shape[-1] + 1) // 2
    windows = sliding_window_view(values, size, axis=-1)
    # A matrix product is slow on memory that overlaps.
    return np.ascontiguousarray(windows[..., ::-1])


@dataclass(frozen=True, slots=True)
class UnknownPsf:
    """The PSF of an exposure whose PSF has still to be estimated."""

    @property
    def shape(self) -> tuple[int, int]:
        """Return nothing: there is no stamp.

        Raises
        ------
        InvalidExposureError
            Always.
        """
        raise InvalidExposureError(
            "the exposure has no PSF: estimate it ([pipeline] psf) before it is used"
        )

    def centred_at(self, x: float, y: float) -> NDArray[np.float64]:
        """Return nothing: see `shape`."""
        raise InvalidExposureError(f"the exposure has no PSF at ({x:.1f}, {y:.1f})")

    def at(self, x: float, y: float) -> NDArray[np.float64]:
        """Return nothing: see `shape`."""
        return self.centred_at(x, y)


@dataclass(frozen=True, eq=False)
class ConstantPsf:
    """One PSF for the whole image.

    Attributes
    ----------
    stamp : ndarray of float64, shape (ky, kx)
        The PSF, centred on the middle pixel; normalised on construction.

    Raises
    ------
    InvalidExposureError
        If a side is even, a value not finite, or the sum not positive.
    """

    stamp: NDArray[np.float64]

    def __post_init__(self) -> None:
        stamps = _normalised(np.asarray(self.stamp, float)[np.newaxis])
        object.__setattr__(self, "stamp", read_only(stamps[0]))

    @property
    def shape(self) -> tuple[int, int]:
        """Return the odd sides (ky, kx) of the stamp."""
        ky, kx = self.stamp.shape
        return ky, kx

    def centred_at(self, x: float, y: float) -> NDArray[np.float64]:  # noqa: ARG002
        """Return the PSF, the same everywhere."""
        return self.stamp

    def at(self, x: float, y: float) -> NDArray[np.float64]:
        """Return the PSF of a star at (x, y), on whole image pixels."""
        return _on_pixels(self.stamp, x, y)


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
        normalised = _normalised(stamps.reshape(-1, *stamps.shape[2:]))
        object.__setattr__(self, "stamps", read_only(normalised.reshape(stamps.shape)))
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
        return _on_pixels(self.centred_at(x, y), x, y)


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
        coefficients[:1] = _normalised(coefficients[:1])
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
        return _on_pixels(self.centred_at(x, y), x, y)


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


def noise_equivalent_area(stamp: NDArray[np.float64]) -> float:
    """Return 1 / sum(psf^2), the pixels of sky noise in a PSF flux."""
    return float(1 / np.sum(np.square(stamp)))


def fwhm(stamp: ArrayLike) -> float:
    """Return the full width [pixel] of the Gaussian of equal noise-equivalent area.

    Unlike second moments, it is insensitive to the noise of the wings. A
    Gaussian of width sigma has an area of 4 pi sigma^2.
    """
    area = noise_equivalent_area(np.asarray(stamp, float))
    return float(FWHM_PER_SIGMA * np.sqrt(area / (4 * np.pi)))


def _on_pixels(centred: NDArray[np.float64], x: float, y: float) -> NDArray[np.float64]:
    column, row = nearest_pixel(x, y)
    return shift_stamp(centred, x - column, y - row)


def _normalised(stamps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return stamps, shape (n, ky, kx), divided by their sums."""
    ky, kx = stamps.shape[1:]
    if not (ky % 2 and kx % 2):
        raise InvalidExposureError(f"PSF stamps must have odd sides, got {ky} x {kx}")
    sums = stamps.sum(axis=(1, 2))
    # a sum is finite only if all of its values are
    if not (np.isfinite(sums) & (sums > 0)).all():
        raise InvalidExposureError(
            "PSF stamps must be finite with a positive sum, got sums from "
            f"{sums.min():.3g} to {sums.max():.3g}"
        )
    normalised: NDArray[np.float64] = stamps / sums[:, np.newaxis, np.newaxis]
    return normalised


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
