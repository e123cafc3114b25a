"""Convolution along one axis after the other, for kernels that are few products."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Products so much smaller than the first one of a kernel are rounding errors.
_SMALLEST_PRODUCT = 1e-14


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Separable:
    """Kernels as sums of products of profiles, made to convolve squares of pixels.

    Those of both bases are sums of two products at the most: Gaussians times
    polynomials and delta functions are products, and less a share of the first kernel.

    Attributes
    ----------
    across : ndarray of float64, shape (s, k * m)
        Convolves rows of s pixels with the profiles of k products.
    along : ndarray of float64, shape (k, m, s)
        Convolves what is left of columns.
    owners : tuple of ndarray of int
        The kernels that the first products belong to, all of them in their order;
        those of the second products; and so on.
    """

    across: NDArray[np.float64]
    along: NDArray[np.float64]
    owners: tuple[NDArray[np.intp], ...]

    @classmethod
    def of(cls, kernels: NDArray[np.float64], side: int) -> "Separable":
        """Return the products of kernels.

        Parameters
        ----------
        kernels : ndarray of float64, shape (n, size, size)
        side : int
            Of the convolved square.
        """
        columns, values, rows = np.linalg.svd(kernels)
        used = values > _SMALLEST_PRODUCT * values[:, :1]
        used[:, 0] = True
        rank, owner = np.nonzero(used.T)
        profiles = columns[owner, :, rank] * values[owner, rank][:, np.newaxis]
        across = _bands(rows[owner, rank], side).transpose(2, 0, 1)
        return cls(
            across=across.reshape(len(across), -1),
            along=_bands(profiles, side),
            owners=tuple(owner[rank == r] for r in range(rank[-1] + 1)),
        )

    def convolve(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return pixels convolved with each kernel, where all of it is on them.

        Parameters
        ----------
        pixels : ndarray of float64, shape (..., s, s)

        Returns
        -------
        ndarray of float64, shape (..., n, m, m)
            With m = s - size + 1.
        """
        rows = pixels @ self.across
        rows = rows.reshape(*pixels.shape[:-1], len(self.along), -1)
        products = self.along @ rows.swapaxes(-3, -2)
        n = len(self.owners[0])
        convolved, more = products[..., :n, :, :], products[..., n:, :, :]
        for owners in self.owners[1:]:
            convolved[..., owners, :, :] += more[..., : len(owners), :, :]
            more = more[..., len(owners) :, :, :]
        return convolved


def _bands(profiles: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Return matrices that convolve lines of pixels; (k, side, side + size - 1)."""
    k, size = profiles.shape
    bands = np.zeros((k, side, side + size - 1))
    for i in range(side):
        bands[:, i, i : i + size] = profiles[:, ::-1]
    return bands
