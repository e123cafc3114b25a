"""The two exposures of a subtraction, in the roles that they play in it."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from streamdiff.errors import SubtractionError
from streamdiff.imaging.convolve import convolve_matching
from streamdiff.imaging.difference_mask import combine_masks, dilate_mask
from streamdiff.imaging.field_image import add_field
from streamdiff.imaging.interpolate import core_radius, dilate_by_disc
from streamdiff.imaging.propagate import propagate_matching
from streamdiff.model import (
    Convolved,
    Difference,
    Exposure,
    FluxScale,
    MatchingKernel,
    Noise,
)
from streamdiff.model.field import field_order, field_terms
from streamdiff_al.covariance import combine_covariance
from streamdiff_al.direction import Direction, choose_direction, science_kernel
from streamdiff_al.match import Match
from streamdiff_al.pixels import Pixels
from streamdiff_al.smooth import smooth

_CONVOLVED = {
    Direction.TEMPLATE: Convolved.TEMPLATE,
    Direction.SCIENCE: Convolved.SCIENCE,
    Direction.COMMON: Convolved.BOTH,
    Direction.PRECONVOLVE: Convolved.BOTH,
}

# Positions along each axis where the shift of a kernel is measured.
_NODES = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pair:
    """A science exposure and its template, one of which is to match the other.

    Attributes
    ----------
    science, template : Exposure
    direction : Direction
        Any but ``auto``.
    target, source : Exposure
        The one to be matched, and the one to be convolved with the matching kernel.
        Where both are convolved, the target is the science exposure after it was.
    target_pixels, source_pixels : Pixels
        Those of the source are filled.
    science_kernel : ndarray of float64, shape (ky, kx), or None
        What the science exposure was convolved with to be the target.
    """

    science: Exposure
    template: Exposure
    direction: Direction
    target: Exposure
    source: Exposure
    target_pixels: Pixels
    source_pixels: Pixels
    science_kernel: NDArray[np.float64] | None

    @classmethod
    def of(cls, science: Exposure, template: Exposure, direction: Direction) -> "Pair":
        """Return the pair with its pixels prepared."""
        direction = choose_direction(direction, science, template)
        kernel = science_kernel(direction, science, template)
        target, source = science, template
        if kernel is not None:
            target = smooth(science, kernel, edge=_edge(direction, kernel))
        elif direction is Direction.SCIENCE:
            target, source = template, science
        return cls(
            science=science,
            template=template,
            direction=direction,
            target=target,
            source=source,
            target_pixels=Pixels.of(target),
            source_pixels=Pixels.of(source).filled(),
            science_kernel=kernel,
        )

    @property
    def is_calibrated(self) -> bool:
        """Return whether both exposures are in nJy, and so on one flux scale."""
        return self.science.photometric and self.template.photometric

    @property
    def overlap(self) -> NDArray[np.bool_]:
        """Return True where both exposures are usable; shape (ny, nx)."""
        return self.target_pixels.usable & self.source_pixels.usable

    def subtract(self, match: Match, *, subtract_background: bool) -> Difference:
        """Return the difference on the scale of the target.

        Raises
        ------
        SubtractionError
            If the sum of the kernel is not positive.
        """
        total = match.kernel.centre_sum
        if not (np.isfinite(total) and total > 0):
            raise SubtractionError(
                f"{self.science.id}: the matching kernel sums to {total:.3g}: do the "
                "exposures show the same stars?"
            )
        kernel_sum = 1 / total if self._science_is_source else total
        radius = core_radius(match.kernel.at(*_centre(self.science.shape)))
        no_data = dilate_by_disc(self.source_pixels.no_data, radius)
        no_data |= self.target_pixels.no_data
        matched, variance = self._matched_planes(match, subtract_background)
        variance += self.target.variance
        image, matched_template = self._signed(matched)
        for plane, value in ((image, 0), (variance, np.inf), (matched_template, 0)):
            np.copyto(plane, value, where=no_data)
        return Difference(
            id=self.science.exposure_id,
            image=image,
            variance=variance,
            mask=self._mask(no_data, radius),
            psf=self.target.psf,
            wcs=self.science.wcs,
            flux_scale=(
                FluxScale.TEMPLATE if self._science_is_source else FluxScale.SCIENCE
            ),
            kernel_sum=kernel_sum,
            convolved=_CONVOLVED[self.direction],
            noise=Noise.CORRELATED,
            covariance_factor=combine_covariance(
                self.science, self.template, kernel_sum
            ),
            matching_kernel=match.kernel,
            science_kernel=self.science_kernel,
            background=self._background(match) if subtract_background else None,
            matched_template=matched_template,
            kernel_candidates=match.candidates,
            photometric=self.science.photometric and self.template.photometric,
            metrics=self._metrics(match, kernel_sum),
        )

    def _matched_planes(
        self, match: Match, subtract_background: bool
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the source as it matches the target, and its variance.

        Beyond the border, its mirror image is more likely than an empty sky.
        """
        pixels = self.source_pixels
        image = convolve_matching(pixels.image, match.kernel, border="mirror")
        if subtract_background:
            add_field(image, match.background)
        return image, propagate_matching(pixels.variance, match.kernel)

    def _signed(
        self, matched: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return science - template, and what of it is the template."""
        if self._science_is_source:
            matched -= self.template.image
            return matched, self.template.image.copy()
        return self.target.image - matched, matched

    def _background(self, match: Match) -> NDArray[np.float64]:
        """Return the background that is in science - template, of the target's unit."""
        return -match.background if self._science_is_source else match.background

    def _mask(self, no_data: NDArray[np.bool_], radius: float) -> NDArray[np.int32]:
        masks = [self.target.mask, dilate_mask(self.source.mask, radius)]
        if self._science_is_source:
            masks.reverse()
        return combine_masks(masks[0], masks[1], no_data, ceil(radius))

    def _metrics(self, match: Match, kernel_sum: float) -> Mapping[str, float]:
        centre = field_terms(
            *_centre(self.science.shape),
            field_order(len(match.background)),
            self.science.shape,
        )
        return {
            "kernel_sum": kernel_sum,
            "n_kernel_candidates": float(len(match.residuals)),
            "n_kernel_rejected": float(match.n_rejected),
            "condition_number": match.condition,
            "background_at_centre": float(match.background @ centre),
            "science_convolved": float(self.direction != Direction.TEMPLATE),
            "template_convolved": float(self.direction != Direction.SCIENCE),
            "preconvolved": float(self.direction == Direction.PRECONVOLVE),
            **self._offset(match.kernel),
            **match.diagnostics,
        }

    def _offset(self, kernel: MatchingKernel) -> Mapping[str, float]:
        """Return by how much stars are displaced from those of the template.

        It is what the kernel shifts, in the median over the image [pixel].
        """
        y, x = ((np.arange(_NODES) + 0.5) / _NODES * n for n in self.science.shape)
        shifts = np.array([_centroid(kernel.at(u, v)) for v in y for u in x])
        offset_x, offset_y = np.median(shifts, axis=0)
        sign = -1 if self._science_is_source else 1
        return {
            "template_offset_x_pixel": float(sign * offset_x),
            "template_offset_y_pixel": float(sign * offset_y),
        }

    @property
    def _science_is_source(self) -> bool:
        return self.direction == Direction.SCIENCE


def _edge(direction: Direction, kernel: NDArray[np.float64]) -> int:
    """Return how far from the border the kernel of the science image is complete."""
    if direction == Direction.PRECONVOLVE:
        return int(max(kernel.shape)) // 2
    return ceil(core_radius(kernel))


def _centroid(kernel: NDArray[np.float64]) -> tuple[float, float]:
    """Return the distance (x, y) of a kernel's centroid from its middle [pixel]."""
    y, x = np.indices(kernel.shape)
    ky, kx = kernel.shape
    total = kernel.sum()
    return (
        float((x * kernel).sum() / total - kx // 2),
        float((y * kernel).sum() / total - ky // 2),
    )


def _centre(shape: tuple[int, int]) -> tuple[float, float]:
    height, width = shape
    return (width - 1) / 2, (height - 1) / 2
