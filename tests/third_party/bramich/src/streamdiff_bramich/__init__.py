"""Subtraction with a kernel whose pixels are all free (Bramich 2008, MNRAS 386, L77).

The kernel and a level of the sky are the same everywhere.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import ndimage

from streamdiff.hookspecs import hookimpl
from streamdiff.imaging.comparable import check_comparable, no_common_pixel
from streamdiff.imaging.convolve import convolve
from streamdiff.model import (
    UNUSABLE,
    Convolved,
    Difference,
    Exposure,
    FluxScale,
    MaskPlane,
    MatchingKernel,
    Noise,
    Reason,
    Skip,
)
from streamdiff.stages import Subtractor

# The kernel is fitted to at most so many pixels, the brightest of the template.
_MAX_PIXELS = 30_000
# Fitted numbers are known from so many times as many pixels, or not at all.
_PIXELS_PER_PARAMETER = 4
_BRIGHT_SIGMA = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BramichSubtractor:
    """Convolves the template with a kernel of free pixels.

    Attributes
    ----------
    half_side : int
        Columns and rows of the kernel on either side of its middle [pixel].
    """

    half_side: Annotated[int, Ge(1), Le(15)] = 6

    def subtract(self, science: Exposure, template: Exposure) -> Difference | Skip:
        """Return the difference of two exposures, on the scale of the science image.

        Raises
        ------
        SubtractionError
            If their shapes or bands differ.
        """
        check_comparable(science, template)
        bad = UNUSABLE.in_mask(template.mask) | ~np.isfinite(template.image)
        near_bad = ndimage.maximum_filter(bad, size=2 * self.half_side + 1)
        good = ~UNUSABLE.in_mask(science.mask) & np.isfinite(science.image) & ~near_bad
        if not good.any():
            return no_common_pixel(science)
        light = np.where(bad, np.float32(0), template.image)
        rows, columns = self._chosen(light, template.variance, good)
        n_parameters = (2 * self.half_side + 1) ** 2 + 1
        if len(rows) < _PIXELS_PER_PARAMETER * n_parameters:
            return Skip(
                Reason.INSUFFICIENT_KERNEL_SOURCES,
                f"{science.id}: {len(rows)} bright pixels for {n_parameters} numbers",
            )
        kernel, level = self._fit(science.image, light, rows, columns)
        if kernel.sum() <= 0:
            detail = f"{science.id}: no kernel of positive sum matches the images"
            return Skip(Reason.INSUFFICIENT_KERNEL_SOURCES, detail)
        return self._difference(science, template, light, kernel, level)

    def _chosen(
        self,
        light: NDArray[np.float32],
        variance: NDArray[np.float32],
        good: NDArray[np.bool_],
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return rows and columns of bright pixels that the kernel is fitted to."""
        half = self.half_side
        inside = np.zeros(light.shape, bool)
        inside[half:-half, half:-half] = True
        shines = light > _BRIGHT_SIGMA * np.sqrt(np.where(good, variance, np.inf))
        # The kernel shows around a star, too.
        around = ndimage.maximum_filter(shines, size=half + 1)
        rows, columns = np.nonzero(around & good & inside)
        order = np.argsort(-light[rows, columns], kind="stable")[:_MAX_PIXELS]
        return rows[order], columns[order]

    def _fit(
        self,
        image: NDArray[np.float32],
        light: NDArray[np.float32],
        rows: NDArray[np.intp],
        columns: NDArray[np.intp],
    ) -> tuple[NDArray[np.float64], float]:
        """Return kernel and level of the sky by least squares."""
        side, half = 2 * self.half_side + 1, self.half_side
        windows = sliding_window_view(light, (side, side))
        # Convolution turns the window around its middle.
        seen = windows[rows - half, columns - half][:, ::-1, ::-1].astype(float)
        design = np.column_stack([seen.reshape(len(rows), -1), np.ones(len(rows))])
        unit = float(np.abs(design[:, :-1]).max())
        scaled = np.column_stack([design[:, :-1] / unit, design[:, -1]])
        target = image[rows, columns].astype(float) / unit
        found = np.linalg.lstsq(scaled, target, rcond=1e-10)[0]
        return found[:-1].reshape(side, side), float(found[-1] * unit)

    def _difference(
        self,
        science: Exposure,
        template: Exposure,
        light: NDArray[np.float32],
        kernel: NDArray[np.float64],
        level: float,
    ) -> Difference:
        matched = convolve(light, kernel) + np.float32(level)
        bad = ~np.isfinite(template.image) | MaskPlane.NO_DATA.in_mask(template.mask)
        near_bad = ndimage.maximum_filter(bad, size=2 * self.half_side + 1)
        no_data = MaskPlane.NO_DATA.in_mask(science.mask) | near_bad
        no_data |= ~np.isfinite(science.image)
        noise = np.where(bad, np.float32(0), template.variance)
        variance = science.variance + convolve(noise, kernel**2)
        mask = science.mask | template.mask
        mask = np.where(no_data, mask | np.int32(MaskPlane.NO_DATA), mask)
        return Difference(
            id=science.exposure_id,
            wcs=science.wcs,
            psf=science.psf,
            photometric=science.photometric,
            image=np.where(no_data, np.float32(0), science.image - matched),
            variance=np.where(no_data, np.float32(np.inf), variance),
            mask=mask,
            flux_scale=FluxScale.SCIENCE,
            kernel_sum=float(kernel.sum()),
            convolved=Convolved.TEMPLATE,
            noise=Noise.CORRELATED,
            matching_kernel=MatchingKernel(
                basis=kernel[np.newaxis],
                coefficients=np.ones((1, 1)),
                image_shape=science.shape,
            ),
        )


@hookimpl
def streamdiff_subtractors() -> Mapping[str, Callable[..., Subtractor]]:
    """Offer ``bramich``."""
    return {"bramich": BramichSubtractor}
