"""The two exposures of a subtraction, in the roles that they play in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from streamdiff.errors import SubtractionError
from streamdiff.imaging.convolve import convolve_matching
from streamdiff.imaging.difference_mask import combine_masks, dilate_mask
from streamdiff.imaging.field_image import field_image
from streamdiff.imaging.interpolate import core_radius, dilate_by_disc
from streamdiff.model import (
    Convolved,
    Difference,
    Exposure,
    ExposureId,
    FluxScale,
    Noise,
)
from streamdiff.model.field import field_order, field_terms
from streamdiff_al.covariance import combine_covariance
from streamdiff_al.cutout import Pixels
from streamdiff_al.match import Match
from streamdiff_al.reject import Residual


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pair:
    """A science exposure and its template, one of which is to be convolved.

    Attributes
    ----------
    science, template : Exposure
    convolved : Convolved
        Which of the two: the source; the other is the target.
    target_pixels, source_pixels : Pixels
    """

    science: Exposure
    template: Exposure
    convolved: Convolved
    target_pixels: Pixels
    source_pixels: Pixels

    @classmethod
    def of(cls, science: Exposure, template: Exposure, convolved: Convolved) -> "Pair":
        """Return the pair with its pixels prepared."""
        pixels = [Pixels.of(science), Pixels.of(template)]
        if convolved is Convolved.SCIENCE:
            pixels.reverse()
        return cls(
            science=science,
            template=template,
            convolved=convolved,
            target_pixels=pixels[0],
            source_pixels=pixels[1],
        )

    @property
    def target(self) -> Exposure:
        """Return the exposure that is left as it is."""
        is_science = self.convolved is Convolved.TEMPLATE
        return self.science if is_science else self.template

    @property
    def source(self) -> Exposure:
        """Return the exposure that is convolved."""
        is_science = self.convolved is Convolved.SCIENCE
        return self.science if is_science else self.template

    @property
    def is_calibrated(self) -> bool:
        """Return whether both exposures are in nJy, and so on one flux scale."""
        return self.science.photometric and self.template.photometric

    @property
    def overlap(self) -> NDArray[np.bool_]:
        """Return True where both exposures are usable; shape (ny, nx)."""
        return self.target_pixels.usable & self.source_pixels.usable

    def subtract(self, match: Match, *, subtract_background: bool) -> Difference:
        """Return the difference on the scale of the image that was left alone.

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
        is_template = self.convolved is Convolved.TEMPLATE
        kernel_sum = total if is_template else 1 / total
        radius = core_radius(match.kernel.at(*_centre(self.science.shape)))
        no_data = self.target_pixels.no_data
        no_data = no_data | dilate_by_disc(self.source_pixels.no_data, radius)
        matched, variance = self._matched_planes(match, subtract_background)
        variance += self.target.variance
        image, matched_template = self._signed(matched)
        image[no_data], variance[no_data], matched_template[no_data] = 0, np.inf, 0
        return Difference(
            id=_exposure_id(self.science),
            image=image,
            variance=variance,
            mask=self._mask(no_data, radius),
            psf=self.target.psf,
            wcs=self.science.wcs,
            flux_scale=FluxScale.SCIENCE if is_template else FluxScale.TEMPLATE,
            kernel_sum=kernel_sum,
            convolved=self.convolved,
            noise=Noise.CORRELATED,
            covariance_factor=combine_covariance(
                self.science, self.template, kernel_sum
            ),
            matching_kernel=match.kernel,
            matched_template=matched_template,
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
            image += field_image(match.background, self.science.shape)
        variance = convolve_matching(
            pixels.variance, match.kernel, squared=True, border="mirror"
        )
        return image, variance

    def _signed(
        self, matched: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return science - template, and what of it is the template."""
        if self.convolved is Convolved.TEMPLATE:
            return self.science.image - matched, matched
        return matched - self.template.image, self.template.image.copy()

    def _mask(self, no_data: NDArray[np.bool_], radius: float) -> NDArray[np.int32]:
        masks = [
            dilate_mask(exposure.mask, radius)
            if exposure is self.source
            else exposure.mask
            for exposure in (self.science, self.template)
        ]
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
            "science_convolved": float(self.convolved is Convolved.SCIENCE),
            **match.diagnostics,
            **_residual_metrics(match.residuals),
        }


def _residual_metrics(residuals: Sequence[Residual]) -> dict[str, float]:
    """Return how well the candidates match; nothing where there were none."""
    if not residuals:
        return {}
    return {
        "kernel_residual_mean": float(np.mean([r.mean for r in residuals])),
        "kernel_residual_rms": float(np.median([r.rms for r in residuals])),
    }


def _exposure_id(science: Exposure) -> ExposureId:
    if not isinstance(science.id, ExposureId):
        raise SubtractionError(
            f"{science.id} is a template: subtract templates from science exposures"
        )
    return science.id


def _centre(shape: tuple[int, int]) -> tuple[float, float]:
    height, width = shape
    return (width - 1) / 2, (height - 1) / 2
