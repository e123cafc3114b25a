"""The weighted mean of a stack, one input after the other."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.outline import count_areas
from streamdiff.model import NO_PLANES, Exposure, MaskPlane, TemplateId
from streamdiff.model.coadd_psf import coadd_psf
from streamdiff_coadd.layer import Layer
from streamdiff_coadd.mask_rules import MaskRules
from streamdiff_coadd.stack import Stack, StackInput

_ALL = slice(None)
_BAND_PIXELS = 2**18


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeanImage:
    """A finished mean.

    Attributes
    ----------
    exposure : Exposure
    n_image : ndarray of int32, shape (ny, nx)
    clipped_fraction : float
        Of the usable pixels of all inputs.
    input_map, artifact_map : ndarray of uint8 or None
        See `streamdiff.model.Coadd`.
    """

    exposure: Exposure
    n_image: NDArray[np.int32]
    clipped_fraction: float
    input_map: NDArray[np.uint8] | None
    artifact_map: NDArray[np.uint8] | None


class RunningMean:
    """Weighted sums over the inputs seen so far.

    Parameters
    ----------
    stack : Stack
        With at least one input.
    rules : MaskRules
    input_map, artifact_map : bool
        Whether to note which inputs contribute to each pixel, and which are clipped.
    """

    def __init__(
        self,
        stack: Stack,
        rules: MaskRules,
        *,
        input_map: bool = False,
        artifact_map: bool = False,
    ) -> None:
        shape = stack.shape
        self._stack, self._rules = stack, rules
        self._input_map, self._artifact_map = (
            np.zeros((-(-len(stack.ids) // 8), *shape), np.uint8) if wanted else None
            for wanted in (input_map, artifact_map)
        )
        self._weight, self._flux, self._noise, self._power, self._offered = (
            np.zeros(shape, np.float32) for _ in range(5)
        )
        self._lost = {plane: np.zeros(shape, np.float32) for plane in rules.propagate}
        self._mask, self._n_image = (np.zeros(shape, np.int32) for _ in "mn")
        # Weights relative to their sum keep float32 sums in range.
        self._total = sum(i.weight for i in stack.inputs)
        self._n_clipped = self._n_usable = 0

    def add(self, item: StackInput, clipped: NDArray[np.bool_] | None = None) -> None:
        """Add an input of the stack, without the pixels that are clipped."""
        layer = item.load()
        for rows in self._bands():
            offered = layer.usable((rows, _ALL))
            usable = offered if clipped is None else offered & ~clipped[rows]
            self._n_usable += int(np.count_nonzero(offered))
            self._n_clipped += int(np.count_nonzero(offered & ~usable))
            self._mask[rows][offered & ~usable] |= MaskPlane.CLIPPED
            self._add_values(layer, rows, usable, item.weight / self._total)
            self._add_bits(layer, rows, usable)
            self._add_lost(layer, rows, offered, item.weight / self._total)
            _note(self._input_map, item.number, rows, usable)
            _note(self._artifact_map, item.number, rows, offered & ~usable)
            layer.let_go()

    def result(self, template_id: TemplateId) -> MeanImage:
        """Return the mean of what has been added."""
        inputs = self._stack.inputs
        image, variance, factor = (np.empty_like(self._flux) for _ in "ivf")
        for rows in self._bands():
            empty = self._weight[rows] <= 0
            total = np.where(empty, np.float32(1), self._weight[rows])
            image[rows] = self._flux[rows] / total
            noise = np.where(empty, np.float32(1), self._noise[rows])
            variance[rows] = np.where(empty, np.float32(np.inf), noise / total**2)
            factor[rows] = np.where(empty, np.float32(1), self._power[rows] / noise)
        exposure = Exposure(
            id=template_id,
            image=image,
            variance=variance,
            mask=self._final_mask(),
            wcs=self._stack.wcs,
            psf=coadd_psf([i.psf_component for i in inputs], self._stack.shape),
            exposure_time_s=float(np.sum([i.exposure_time_s for i in inputs])),
            photometric=self._stack.photometric,
            covariance_factor=factor,
        )
        return MeanImage(
            exposure=exposure,
            n_image=self._n_image,
            clipped_fraction=self._n_clipped / max(self._n_usable, 1),
            input_map=self._input_map,
            artifact_map=self._artifact_map,
        )

    def _bands(self) -> Iterator[slice]:
        """Yield the rows in bands that the caches of a processor hold."""
        height, width = self._stack.shape
        step = max(_BAND_PIXELS // width, 1)
        for start in range(0, height, step):
            yield slice(start, start + step)

    def _add_values(
        self, layer: Layer, rows: slice, usable: NDArray[np.bool_], weight: float
    ) -> None:
        box, share = (rows, _ALL), np.float32(weight)
        noise = share**2 * np.where(usable, layer.variance(box), np.float32(0))
        self._flux[rows] += share * np.where(usable, layer.image(box), np.float32(0))
        self._noise[rows] += noise
        self._power[rows] += noise * layer.covariance_factor(box)
        self._weight[rows] += share * usable
        self._n_image[rows] += usable

    def _add_bits(self, layer: Layer, rows: slice, usable: NDArray[np.bool_]) -> None:
        """Add what the coadd inherits of the mask of an input."""
        mask, bits = layer.warp.mask[rows], self._mask[rows]
        bits |= np.where(usable, self._rules.inherited(mask), np.int32(0))
        bits[MaskPlane.EDGE.in_mask(mask)] |= MaskPlane.SENSOR_EDGE
        excluding = layer.bad & ~MaskPlane.NO_DATA
        if excluding != NO_PLANES:
            rejected = excluding.in_mask(mask) & ~MaskPlane.NO_DATA.in_mask(mask)
            bits[rejected] |= MaskPlane.REJECTED

    def _add_lost(
        self, layer: Layer, rows: slice, offered: NDArray[np.bool_], weight: float
    ) -> None:
        """Add the weight that was lost to planes, and that there was to lose."""
        mask = layer.warp.mask[rows]
        has_data = ~MaskPlane.NO_DATA.in_mask(mask)
        for plane, total in self._lost.items():
            lost = plane.in_mask(mask) & ~offered
            total[rows] += np.float32(weight) * lost
            has_data |= lost
        self._offered[rows] += np.float32(weight) * has_data

    def _final_mask(self) -> NDArray[np.int32]:
        mask = self._mask.copy()
        expected = count_areas([i.area for i in self._stack.inputs], mask.shape)
        mask[self._n_image < expected] |= MaskPlane.INEXACT_PSF
        for plane, lost in self._lost.items():
            mask[lost > self._rules.propagate[plane] * self._offered] |= plane
        mask[self._weight <= 0] |= MaskPlane.NO_DATA
        return mask


def _note(
    bits: NDArray[np.uint8] | None, number: int, rows: slice, where: NDArray[np.bool_]
) -> None:
    """Set the bit of an input in a map, if there is one."""
    if bits is not None:
        byte, bit = divmod(number, 8)
        bits[byte, rows] |= where.astype(np.uint8) << bit
