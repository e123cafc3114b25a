"""The PSF of a weighted mean of images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamdiff.model import ConstantPsf, GridPsf, Psf

# Half the side of the box around a node in which the share of an input counts.
REACH = 32


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Nodes:
    """The positions at which PSFs are averaged.

    Attributes
    ----------
    x, y : ndarray of float64, shape (gx,) and (gy,)
        Increasing [pixel].
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]

    @classmethod
    def over(cls, shape: tuple[int, int], per_side: int = 5) -> "Nodes":
        """Return nodes over an image, the first and last on its border."""
        y, x = (np.linspace(0, max(n - 1, 1), per_side) for n in shape)
        return cls(x=x, y=y)

    def mean_around(self, plane: NDArray[np.generic]) -> NDArray[np.float64]:
        """Return the means of a plane in boxes around the nodes; shape (gy, gx)."""
        rows, columns = ([_box(v) for v in axis] for axis in (self.y, self.x))
        return np.array(
            [[plane[j, i].mean(dtype=float) for i in columns] for j in rows]
        )


def mean_psf(psfs: Sequence[Psf], weights: NDArray[np.float64], nodes: Nodes) -> Psf:
    """Return the weighted mean of PSFs.

    Parameters
    ----------
    psfs : sequence of Psf
        PSFs of the inputs, all on the same pixels.
    weights : ndarray of float64, shape (n, gy, gx)
        Weights of the inputs at the nodes. Where all are 0, each input has its
        mean weight.
    nodes : Nodes

    Returns
    -------
    ConstantPsf or GridPsf
        Constant if all inputs are, with weights that do not vary.
    """
    blank = weights.sum(axis=0) <= 0
    filled = np.where(blank, weights.mean(axis=(1, 2), keepdims=True), weights)
    shares = filled / filled.sum(axis=0)
    side_y, side_x = np.max([psf.shape for psf in psfs], axis=0)
    stamps = np.zeros((nodes.y.size, nodes.x.size, side_y, side_x))
    for psf, share in zip(psfs, shares, strict=True):
        for j, i in zip(*np.nonzero(share), strict=True):
            stamp = psf.centred_at(nodes.x[i], nodes.y[j])
            stamps[j, i] += share[j, i] * pad_stamp(stamp, (side_y, side_x))
    constant = all(isinstance(psf, ConstantPsf) for psf in psfs)
    if constant and np.ptp(shares, axis=(1, 2)).max() == 0:
        return ConstantPsf(stamps[0, 0])
    return GridPsf(stamps=stamps, x=nodes.x, y=nodes.y)


def pad_stamp(
    stamp: NDArray[np.float64], shape: tuple[int, int]
) -> NDArray[np.float64]:
    """Return stamps, shape (..., ky, kx), with zeros around them to a larger shape."""
    dy, dx = ((n - m) // 2 for n, m in zip(shape, stamp.shape[-2:], strict=True))
    return np.pad(stamp, [(0, 0)] * (stamp.ndim - 2) + [(dy, dy), (dx, dx)])


def _box(position: float) -> slice:
    return slice(max(int(position) - REACH, 0), int(position) + REACH + 1)
