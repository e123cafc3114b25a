"""Point spread functions: one stamp per position.

Every PSF is a function of position on its image. Its stamps have odd sides and
sum to 1; the PSF sits on the middle pixel (`Psf.centred_at`) or a fraction of a
pixel beside it (`Psf.at`).
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from streamdiff.errors import InvalidExposureError
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
        stamps = normalised(np.asarray(self.stamp, float)[np.newaxis])
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
        return on_pixels(self.stamp, x, y)


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


def on_pixels(centred: NDArray[np.float64], x: float, y: float) -> NDArray[np.float64]:
    """Return a PSF on its middle pixel as that of a star at (x, y), see `Psf.at`."""
    column, row = nearest_pixel(x, y)
    return shift_stamp(centred, x - column, y - row)


def normalised(stamps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return stamps, shape (n, ky, kx), divided by their sums.

    Raises
    ------
    InvalidExposureError
        If a side is even, a value not finite, or a sum not positive.
    """
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
