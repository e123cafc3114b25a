"""From two filtered images to a difference with its noise, mask and score."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import ceil

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.difference_mask import combine_masks, dilate_mask
from streamdiff.imaging.field_image import add_field
from streamdiff.imaging.fit_background import fit_background
from streamdiff.imaging.interpolate import core_radius, dilate_by_disc
from streamdiff.model import (
    Convolved,
    Difference,
    Exposure,
    FluxScale,
    MaskPlane,
    Noise,
)
from streamdiff.model.field import field_order, field_terms
from streamdiff_zogy.astrometry import corrected_significance
from streamdiff_zogy.calibration import Calibration
from streamdiff_zogy.filter_field import FilterField
from streamdiff_zogy.filtering import Filtered
from streamdiff_zogy.pixels import Holes

# Parts of the sum of the squares of filters. Their core spoils what is around a hole.
# Their faint rings reach far: what they touch is suspect, but its noise is known.
_RINGS, _CORE = 0.99, 0.9


@dataclass(frozen=True, eq=False, kw_only=True)
class ProperSubtraction:
    """All that a difference is put together from.

    Attributes
    ----------
    science, template : Exposure
    holes : Holes
    field : FilterField
    calibration : Calibration
    filtered : Filtered
        On the flux scale of the template. Planes of the difference are made in
        place of these.
    """

    science: Exposure
    template: Exposure
    holes: Holes
    field: FilterField
    calibration: Calibration
    filtered: Filtered

    def difference(self, *, background_order: int | None) -> Difference:
        """Return the difference on the flux scale of the template.

        Parameters
        ----------
        background_order : int or None
            Order of the background to be subtracted; `None`: none is.
        """
        filtered, no_data = self.filtered, self._no_data
        mask = self._mask  # while there are few other planes
        image, score = filtered.difference, filtered.score
        background = np.zeros(1)
        if background_order is not None:
            used = ~(self.holes.unusable | no_data)
            background = fit_background(image, used, background_order)
            # In place: new planes of this size cost as much as their transforms. The
            # filter that makes the score of the difference sums to 1.
            for plane in (image, score):
                add_field(plane, -background)
        np.copyto(image, 0, where=no_data)
        factor = self._covariance_factor
        variance = filtered.power
        variance /= np.float32(factor)
        np.copyto(variance, np.inf, where=no_data)
        significance = corrected_significance(
            score,
            filtered.template_score,
            filtered.score_variance,
            (self.calibration.sigma_x, self.calibration.sigma_y),
        )
        np.copyto(significance, 0, where=self._unscored)
        return Difference(
            id=self.science.exposure_id,
            image=image,
            variance=variance,
            mask=mask,
            psf=self.field.psf,
            wcs=self.science.wcs,
            flux_scale=FluxScale.TEMPLATE,
            kernel_sum=self.calibration.flux_ratio,
            convolved=Convolved.BOTH,
            noise=Noise.WHITE,
            covariance_factor=factor,
            score=significance,
            template_score=self._template_significance(),
            matched_template=self._matched(background),
            photometric=self.science.photometric and self.template.photometric,
            metrics={**self.calibration.metrics, **self._metrics(background)},
        )

    def _template_significance(self) -> NDArray[np.float32]:
        """Return the significance of what was subtracted, 0 where none is known.

        It is made in place of the score and its variance, which are needed no more.
        """
        significance, noise = self.filtered.template_score, self.filtered.score_variance
        np.copyto(noise, np.inf, where=self._unscored | ~(noise > 0))
        np.sqrt(noise, out=noise)
        significance /= noise
        return significance

    def _matched(self, background: NDArray[np.float64]) -> NDArray[np.float32] | None:
        if self.filtered.matched_template is None:
            return None
        matched = self.filtered.matched_template.copy()
        add_field(matched, background)
        np.copyto(matched, 0, where=self._no_data)
        return matched

    @cached_property
    def _radius(self) -> float:
        """Return the radius of the filters, faint rings included [pixel]."""
        return self._radius_of(_RINGS)

    def _radius_of(self, part: float) -> float:
        """Return the radius that a part of the filters is within [pixel].

        A hole in one image is one in both: the wider filter counts.
        """
        filters = self.field.at_centre
        return max(
            core_radius(np.square(f), fraction=part)
            for f in (filters.science, filters.template)
        )

    @cached_property
    def _no_data(self) -> NDArray[np.bool_]:
        return dilate_by_disc(self.holes.no_data, self._radius)

    @cached_property
    def _unscored(self) -> NDArray[np.bool_]:
        """Return where too much of the score is from pixels without data."""
        psf = core_radius(np.square(self.field.at_centre.psf))
        return dilate_by_disc(self.holes.no_data, self._radius + psf)

    @property
    def _mask(self) -> NDArray[np.int32]:
        core = self._radius_of(_CORE)
        mask = combine_masks(
            dilate_mask(self.science.mask, core),
            dilate_mask(self.template.mask, core),
            self._no_data,
            ceil(core),
        )
        suspect = np.int32(MaskPlane.SUSPECT)
        np.bitwise_or(mask, suspect, out=mask, where=self._ringing)
        return mask

    @property
    def _ringing(self) -> NDArray[np.bool_]:
        """Return where filters reach holes or the border of the image."""
        ringing = dilate_by_disc(self.holes.unusable, self._radius)
        edge = ceil(self._radius)
        if edge:
            ringing[:edge] = ringing[-edge:] = True
            ringing[:, :edge] = ringing[:, -edge:] = True
        return ringing

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
        powers, exposures = self._powers, (self.science, self.template)
        parts = [
            np.float32(power) / np.asarray(exposure.covariance_factor, np.float32)
            for power, exposure in zip(powers, exposures, strict=True)
        ]
        factor = np.float32(sum(powers)) / (parts[0] + parts[1])
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
            "n_filled_pixels": float(np.count_nonzero(self.holes.unusable)),
        }
