"""Squares of pixels around many positions, and the PSFs there, in one array each."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamdiff.imaging.compiled import compiled
from streamdiff.imaging.shifted_stamps import shifted_with_derivatives
from streamdiff.model import (
    ConstantPsf,
    Difference,
    Exposure,
    GridPsf,
    MaskPlane,
    PolynomialPsf,
    Psf,
)

# 64 stamps of 41 x 41 px in float64 are 0.9 MB: a fit holds a few such arrays, and is
# several times as slow where they do not fit into the cache.
_BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stamps:
    """The pixels around n positions.

    The middle pixel of a stamp is the one nearest to its position.

    Attributes
    ----------
    image, variance : ndarray of float64, shape (n, ky, kx)
        0 where the pixel is not usable.
    usable : ndarray of bool, shape (n, ky, kx)
        Whether the pixel is on the image, finite, of positive variance and on
        none of the excluded mask planes.
    covariance_factor : ndarray of float64, shape (n,)
        That of the middle pixel.
    truncated : ndarray of bool, shape (n,)
        Whether a part of the stamp is outside the image.
    """

    image: NDArray[np.float64]
    variance: NDArray[np.float64]
    usable: NDArray[np.bool_]
    covariance_factor: NDArray[np.float64]
    truncated: NDArray[np.bool_]

    def take(self, rows: NDArray[np.bool_]) -> "Stamps":
        """Return some of them."""
        return Stamps(**{name: getattr(self, name)[rows] for name in self.__slots__})


def batches(n: int) -> Iterator[slice]:
    """Yield slices of n sources, each few enough to have their stamps in memory.

    There is at least one slice: that of no source is empty.
    """
    for start in range(0, max(n, 1), _BATCH):
        yield slice(start, min(start + _BATCH, n))


def nearest_pixels(
    x: ArrayLike, y: ArrayLike
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the columns and rows of the pixels that hold positions."""
    column, row = (np.floor(np.asarray(v, float) + 0.5).astype(np.intp) for v in (x, y))
    return column, row


def pixels_around(
    image_shape: tuple[int, int], x: ArrayLike, y: ArrayLike, shape: tuple[int, int]
) -> tuple[tuple[NDArray[np.intp], NDArray[np.intp]], NDArray[np.bool_]]:
    """Return the index of the pixels of stamps, and whether they are on the image.

    Parameters
    ----------
    image_shape : tuple of int
        (height, width) of the image.
    x, y : array_like of float, shape (n,)
        Positions [pixel].
    shape : tuple of int
        Odd sides (ky, kx) of the stamps.

    Returns
    -------
    rows, columns : ndarray of int, shapes (n, ky, 1) and (n, 1, kx)
        ``plane[rows, columns]`` are the stamps of a plane. Pixels beyond the
        border are replaced by the nearest ones on the image.
    inside : ndarray of bool, shape (n, ky, kx)
    """
    (height, width), (ky, kx) = image_shape, shape
    column, row = nearest_pixels(x, y)
    rows = row[:, np.newaxis, np.newaxis] + np.arange(-(ky // 2), ky // 2 + 1)[:, None]
    columns = column[:, np.newaxis, np.newaxis] + np.arange(-(kx // 2), kx // 2 + 1)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    return (np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)), inside


def cut_stamps(
    exposure: Exposure | Difference,
    x: ArrayLike,
    y: ArrayLike,
    shape: tuple[int, int],
    *,
    exclude: MaskPlane,
) -> Stamps:
    """Return the stamps around positions.

    Parameters
    ----------
    exposure : Exposure or Difference
    x, y : array_like of float, shape (n,)
        Finite positions [pixel]; they may be outside the image.
    shape : tuple of int
        Odd sides (ky, kx).
    exclude : MaskPlane
        Pixels on any of these planes are not usable.
    """
    column, row = nearest_pixels(x, y)
    sides = (column.size, *shape)
    image, variance = np.zeros(sides), np.zeros(sides)
    usable, truncated = np.zeros(sides, np.bool_), np.zeros(column.size, np.bool_)
    _copy_usable(
        (exposure.image, exposure.variance, exposure.mask),
        int(exclude),
        (column, row),
        (image, variance, usable, truncated),
    )
    factor = np.broadcast_to(exposure.covariance_factor, exposure.shape)
    middle = tuple(
        np.clip(at, 0, n - 1)
        for at, n in zip((row, column), exposure.shape, strict=True)
    )
    return Stamps(
        image=image,
        variance=variance,
        usable=usable,
        covariance_factor=factor[middle].astype(float),
        truncated=truncated,
    )


@compiled
def _copy_usable(
    planes: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]],
    excluded: int,
    middles: tuple[NDArray[np.intp], NDArray[np.intp]],
    stamps: tuple[
        NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]
    ],
) -> None:
    """Fill in what is usable around columns and rows, and what is truncated."""
    image, variance, mask = planes
    to_image, to_variance, usable, truncated = stamps
    height, width = image.shape
    n, ky, kx = usable.shape
    for i in range(n):
        left, top = middles[0][i] - kx // 2, middles[1][i] - ky // 2
        truncated[i] = min(left, top) < 0 or left + kx > width or top + ky > height
        for y in range(max(top, 0), min(top + ky, height)):
            for x in range(max(left, 0), min(left + kx, width)):
                if mask[y, x] & excluded or not np.isfinite(image[y, x]):
                    continue
                if not (np.isfinite(variance[y, x]) and variance[y, x] > 0):
                    continue
                usable[i, y - top, x - left] = True
                to_image[i, y - top, x - left] = image[y, x]
                to_variance[i, y - top, x - left] = variance[y, x]


def centred_psf_stamps(psf: Psf, x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
    """Return the PSFs at positions, each on its middle pixel; shape (n, ky, kx)."""
    x, y = np.atleast_1d(np.asarray(x, float)), np.atleast_1d(np.asarray(y, float))
    match psf:
        case ConstantPsf():
            return np.broadcast_to(psf.stamp, (x.size, *psf.shape))
        case GridPsf() | PolynomialPsf():
            return psf.centred_at_each(x, y)
        case _:
            stamps = [psf.centred_at(u, v) for u, v in zip(x, y, strict=True)]
            return np.array(stamps).reshape(x.size, *psf.shape)


def psf_stamps(psf: Psf, x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
    """Return the PSFs of stars at positions, on whole image pixels.

    The same as ``psf.at`` for every position.

    Parameters
    ----------
    psf : Psf
    x, y : array_like of float, shape (n,)
        Positions [pixel].

    Returns
    -------
    ndarray of float64, shape (n, ky, kx)
        Their middle pixels are those of `nearest_pixels`.
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    column, row = nearest_pixels(x, y)
    return shift_stamps(centred_psf_stamps(psf, x, y), x - column, y - row)


def shift_stamps(
    stamps: NDArray[np.float64], dx: NDArray[np.float64], dy: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return stamps moved by fractions of a pixel, their sums unchanged.

    Parameters
    ----------
    stamps : ndarray of float64, shape (n, ky, kx)
    dx, dy : ndarray of float64, shape (n,)
        Shifts to larger columns and rows [pixel].
    """
    moved = shifted_with_derivatives(stamps, np.stack([dx, dy], axis=1), order=0)[:, 0]
    before, after = stamps.sum(axis=(1, 2)), moved.sum(axis=(1, 2))
    scale = np.divide(before, after, out=np.ones_like(after), where=after != 0)
    moved *= scale[:, np.newaxis, np.newaxis]
    return moved


def resized_stamps(stamps: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Return the middles of stamps, with zeros around them where they are small.

    Parameters
    ----------
    stamps : ndarray of float64, shape (n, ky, kx)
    side : int
        Odd side of the squares to return.
    """
    margins = [max(side - k, 0) // 2 for k in stamps.shape[1:]]
    padded = np.pad(stamps, [(0, 0), *((m, m) for m in margins)])
    cut_y, cut_x = ((k - side) // 2 for k in padded.shape[1:])
    return padded[:, cut_y : cut_y + side, cut_x : cut_x + side]


def pad_stamp(
    stamp: NDArray[np.float64], shape: tuple[int, int]
) -> NDArray[np.float64]:
    """Return stamps, shape (..., ky, kx), with zeros around them to a larger shape."""
    dy, dx = ((n - m) // 2 for n, m in zip(shape, stamp.shape[-2:], strict=True))
    return np.pad(stamp, [(0, 0)] * (stamp.ndim - 2) + [(dy, dy), (dx, dx)])
