"""The weighted mean of a stack, one input after the other."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.psf_mean import Nodes, mean_psf
from streamdiff.model import NO_PLANES, Exposure, MaskPlane, TemplateId
from streamdiff_coadd.stack import Stack, StackInput

# A pixel is saturated if more than this share of its weight was lost to SAT.
MAX_SATURATED_WEIGHT = 0.1
# What was detected on one input says nothing about the coadd.
DROPPED = MaskPlane.DETECTED | MaskPlane.DETECTED_NEGATIVE | MaskPlane.EDGE


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeanImage:
    """A finished mean.

    Attributes
    ----------
    exposure : Exposure
    n_image : ndarray of int32, shape (ny, nx)
    clipped_fraction : float
        Of the usable pixels of all inputs.
    """

    exposure: Exposure
    n_image: NDArray[np.int32]
    clipped_fraction: float


class RunningMean:
    """Weighted sums over the inputs seen so far.

    Parameters
    ----------
    stack : Stack
        With at least one input.
    bad : MaskPlane
        Planes whose pixels do not count.
    """

    def __init__(self, stack: Stack, bad: MaskPlane) -> None:
        shape = stack.inputs[0].warp.shape
        self._stack, self._bad = stack, bad
        self._weight, self._flux, self._noise, self._power = (
            np.zeros(shape, np.float32) for _ in range(4)
        )
        self._offered, self._saturated = (np.zeros(shape, np.float32) for _ in "os")
        self._mask, self._n_image = (np.zeros(shape, np.int32) for _ in "mn")
        self._nodes = Nodes.over(shape)
        self._node_weights: list[NDArray[np.float64]] = []
        # Weights relative to their sum keep float32 sums in range.
        self._total = sum(i.weight for i in stack.inputs)
        self._n_clipped = self._n_usable = 0

    def add(self, item: StackInput, clipped: NDArray[np.bool_] | None = None) -> None:
        """Add an input of the stack, without the pixels that are clipped."""
        usable = item.usable if clipped is None else item.usable & ~clipped
        weight = item.weight / self._total
        self._add_values(item, usable, np.float32(weight))
        self._add_bits(item, usable, np.float32(weight))
        if clipped is not None:
            removed = clipped & item.usable
            self._mask[removed] |= MaskPlane.CLIPPED
            self._n_clipped += int(removed.sum())
        self._n_usable += int(item.usable.sum())
        self._node_weights.append(weight * self._nodes.mean_around(usable))

    def result(self, template_id: TemplateId) -> MeanImage:
        """Return the mean of what has been added."""
        inputs = self._stack.inputs
        empty = self._weight <= 0
        total = np.where(empty, np.float32(1), self._weight)
        factor = np.ones(total.shape, np.float32)
        np.divide(self._power, self._noise, out=factor, where=~empty)
        exposure = Exposure(
            id=template_id,
            image=np.asarray(self._flux / total, np.float32),
            variance=np.where(empty, np.float32(np.inf), self._noise / total**2),
            mask=self._final_mask(empty),
            wcs=inputs[0].warp.wcs,
            psf=mean_psf(
                [i.psf for i in inputs], np.array(self._node_weights), self._nodes
            ),
            exposure_time_s=float(np.sum([i.warp.exposure_time_s for i in inputs])),
            photometric=self._stack.photometric,
            covariance_factor=factor,
        )
        return MeanImage(
            exposure=exposure,
            n_image=self._n_image,
            clipped_fraction=self._n_clipped / max(self._n_usable, 1),
        )

    def _add_values(
        self, item: StackInput, usable: NDArray[np.bool_], weight: np.float32
    ) -> None:
        variance = np.where(usable, item.variance(), np.float32(0))
        self._flux += weight * np.where(usable, item.image(), np.float32(0))
        self._noise += weight**2 * variance
        self._power += weight**2 * variance * np.float32(item.warp.covariance_factor)
        self._weight += weight * usable
        self._n_image += usable

    def _add_bits(
        self, item: StackInput, usable: NDArray[np.bool_], weight: np.float32
    ) -> None:
        mask = item.warp.mask
        self._mask |= np.where(usable, mask & ~np.int32(DROPPED), np.int32(0))
        self._mask[MaskPlane.EDGE.in_mask(mask)] |= MaskPlane.SENSOR_EDGE
        has_data = ~MaskPlane.NO_DATA.in_mask(mask)
        excluding = self._bad & ~MaskPlane.NO_DATA
        if excluding != NO_PLANES:
            self._mask[excluding.in_mask(mask) & has_data] |= MaskPlane.REJECTED
        saturated = MaskPlane.SAT.in_mask(mask) & ~item.usable
        self._saturated += weight * saturated
        self._offered += weight * (has_data | saturated)

    def _final_mask(self, empty: NDArray[np.bool_]) -> NDArray[np.int32]:
        mask = self._mask.copy()
        mask[self._n_image < len(self._stack.inputs)] |= MaskPlane.INEXACT_PSF
        saturated = self._saturated > MAX_SATURATED_WEIGHT * self._offered
        mask[saturated] |= MaskPlane.SAT
        mask[empty] |= MaskPlane.NO_DATA
        return mask
