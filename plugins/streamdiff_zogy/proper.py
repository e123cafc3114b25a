"""From two filtered images to a difference with its noise, mask and score."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import ceil

import numpy as np
from numpy.typing import NDArray

from streamdiff.errors import SubtractionError
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
from streamdiff_zogy.astrometry import astrometric_variance
from streamdiff_zogy.background import fit_background
from streamdiff_zogy.calibration import Calibration
from streamdiff_zogy.filter_field import FilterField
from streamdiff_zogy.filtering import Filtered
from streamdiff_zogy.pixels import PixelPair

# Filters have faint rings: their core holds this part of the sum of their squares.
_CORE, _SCORE_CORE = 0.99, 0.9


@dataclass(frozen=True, eq=False, kw_only=True)
class ProperSubtraction:
    """All that a difference is put together from.

    Attributes
    ----------
    science, template : Exposure
    pair : PixelPair
    field : FilterField
    calibration : Calibration
    filtered : Filtered
        On the flux scale of the template.
    matched_template : ndarray of float32, shape (ny, nx), or None
    """

    science: Exposure
    template: Exposure
    pair: PixelPair
    field: FilterField
    calibration: Calibration
    filtered: Filtered
    matched_template: NDArray[np.float32] | None

    def difference(self, *, background_order: int | None) -> Difference:
        """Return the difference on the flux scale of the template.

        Parameters
        ----------
        background_order : int or None
            Order of the background to be subtracted; `None`: none is.
        """
        image, score = self.filtered.difference, self.filtered.score
        background = np.zeros(1)
        if background_order is not None:
            used = self.pair.usable & ~self._no_data
            background = fit_background(image, used, background_order)
            level = field_image(background, self.science.shape)
            # The filter that makes the score of the difference sums to 1.
            image, score = image - level, score - level
        factor = self._covariance_factor
        no_data = self._no_data
        return Difference(
            id=_exposure_id(self.science),
            image=np.where(no_data, 0, image),
            variance=np.where(no_data, np.inf, self.filtered.power / factor),
            mask=self._mask,
            psf=self.field.psf,
            wcs=self.science.wcs,
            flux_scale=FluxScale.TEMPLATE,
            kernel_sum=self.calibration.flux_ratio,
            convolved=Convolved.BOTH,
            noise=Noise.WHITE,
            covariance_factor=factor,
            score=np.where(self._unscored, 0, self._significance(score)),
            matched_template=self._matched(background),
            photometric=self.science.photometric and self.template.photometric,
            metrics={**self.calibration.metrics, **self._metrics(background)},
        )

    def _significance(self, score: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the score corrected for the noise of sources and registration."""
        filtered, calibration = self.filtered, self.calibration
        variance = filtered.score_variance
        if calibration.sigma_x > 0 or calibration.sigma_y > 0:
            variance = variance + astrometric_variance(
                score + filtered.template_score,
                filtered.template_score,
                calibration.sigma_x,
                calibration.sigma_y,
            )
        # Rounding of the transforms: no noise is where no variance was.
        known = variance > 0
        significance: NDArray[np.float32] = np.zeros_like(score)
        sigma = np.sqrt(np.where(known, variance, 1))
        np.divide(score, sigma, out=significance, where=known)
        return significance

    def _matched(self, background: NDArray[np.float64]) -> NDArray[np.float32] | None:
        if self.matched_template is None:
            return None
        level = field_image(background, self.science.shape)
        matched = self.matched_template + level
        matched[self._no_data] = 0
        return matched

    @cached_property
    def _radii(self) -> tuple[float, float]:
        """Return the radii of the cores of the filters of both images [pixel]."""
        filters = self.field.at_centre
        science, template = (
            core_radius(np.square(f[0]), fraction=_CORE)
            for f in (filters.science, filters.template)
        )
        return science, template

    @cached_property
    def _no_data(self) -> NDArray[np.bool_]:
        science, template = (
            dilate_by_disc(pixels.no_data, radius)
            for pixels, radius in zip(
                (self.pair.science, self.pair.template), self._radii, strict=True
            )
        )
        return science | template

    @property
    def _unscored(self) -> NDArray[np.bool_]:
        """Return where too much of the score is from pixels without data."""
        filters = self.field.at_centre.science_score[0]
        radius = core_radius(np.square(filters), fraction=_SCORE_CORE)
        missing = self.pair.science.no_data | self.pair.template.no_data
        return self._no_data | dilate_by_disc(missing, radius)

    @property
    def _mask(self) -> NDArray[np.int32]:
        of_science, of_template = self._radii
        return combine_masks(
            dilate_mask(self.science.mask, of_science),
            dilate_mask(self.template.mask, of_template),
            self._no_data,
            ceil(max(self._radii)),
        )

    @cached_property
    def _powers(self) -> tuple[float, float]:
        """Return what each image adds to the noise power in blank sky."""
        filters, levels = self.field.at_centre, self.field.noise.typical
        science, template = (
            level * float(np.sum(np.square(f)))
            for level, f in zip(
                levels, (filters.science, filters.template), strict=True
            )
        )
        return science, template

    @cached_property
    def _covariance_factor(self) -> float | NDArray[np.float32]:
        """Return the noise power over the variance that both images add up to."""
        factors = [
            np.asarray(e.covariance_factor, float)
            for e in (self.science, self.template)
        ]
        variances = [p / f for p, f in zip(self._powers, factors, strict=True)]
        factor = sum(self._powers) / (variances[0] + variances[1])
        return float(factor) if factor.ndim == 0 else factor.astype(np.float32)

    def _metrics(self, background: NDArray[np.float64]) -> Mapping[str, float]:
        science, template = self.field.noise.typical
        height, width = self.science.shape
        order = field_order(len(background))
        terms = field_terms(
            (width - 1) / 2, (height - 1) / 2, order, self.science.shape
        )
        return {
            "kernel_sum": self.calibration.flux_ratio,
            "science_noise": float(np.sqrt(science)),
            "template_noise": float(np.sqrt(template)),
            "background_at_centre": float(background @ terms),
            "filters_vary": float(not self.field.is_constant),
            "n_filled_pixels": float(np.count_nonzero(~self.pair.usable)),
        }


def _exposure_id(science: Exposure) -> ExposureId:
    if not isinstance(science.id, ExposureId):
        raise SubtractionError(
            f"{science.id} is a template: subtract templates from science exposures"
        )
    return science.id
