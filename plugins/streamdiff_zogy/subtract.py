"""Proper image subtraction, with the significance of a change at every pixel."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from annotated_types import Ge, Gt, Le

from streamdiff.imaging.comparable import check_comparable, no_common_pixel
from streamdiff.model import (
    ConstantPsf,
    Difference,
    Exposure,
    Reason,
    Skip,
)
from streamdiff_zogy.calibration import (
    Calibration,
    CalibrationRules,
    Fluxes,
    TooFewStarsError,
    calibrate,
)
from streamdiff_zogy.centres import check_centres
from streamdiff_zogy.filter_field import FilterField
from streamdiff_zogy.filtering import filter_pair
from streamdiff_zogy.image_space import filter_stamps
from streamdiff_zogy.noise_levels import NoiseLevels
from streamdiff_zogy.pixels import Holes, PixelPair
from streamdiff_zogy.proper import ProperSubtraction


class Variation(StrEnum):
    """Whether filters follow the PSFs and the noise over the image."""

    AUTO = "auto"
    CONSTANT = "constant"
    CELLS = "cells"


class Domain(StrEnum):
    """How images are filtered."""

    FOURIER = "fourier"
    IMAGE = "image"


@dataclass(frozen=True, slots=True, kw_only=True)
class ZogySubtractor:
    """Subtraction after Zackay, Ofek & Gal-Yam 2016, ApJ 830, 27.

    Attributes
    ----------
    fluxes : Fluxes
        Take the flux scales of the images as ``calibrated``, or as ``fitted`` to
        common stars; ``auto`` fits where stars allow, and trusts the calibration
        where they do not.
    min_stars : int
        Least number of common stars for a fit.
    sigma_x, sigma_y : float, optional
        Scatter of positions between the images along each axis [pixel]; measured
        from stars if not given.
    scatter_floor : float
        Least measured scatter [pixel].
    subtract_background : bool
        Subtract what the sky levels of the two images differ by.
    background_order : int
        Order of its variation over the image; lowered for small images.
    variation : Variation
        Use one filter per image (``constant``) or let it vary (``cells``); ``auto``
        does what PSFs and noise ask for.
    domain : Domain
        Filter by transforms, or by sums over pixels, which is for stamps and uses
        the filters of the middle of the image.
    matched_template : bool
        Keep what was subtracted.
    max_psf_offset : float
        How far apart the PSFs may be centred on their stamps [pixel].

    Notes
    -----
    The noise powers are variances times covariance factors: those at frequency 0,
    near which stars have their light. So the score of a warped template is honest,
    though the noise of the difference is not quite white then.
    """

    fluxes: Fluxes = Fluxes.AUTO
    min_stars: Annotated[int, Ge(1)] = 5
    sigma_x: Annotated[float, Ge(0)] | None = None
    sigma_y: Annotated[float, Ge(0)] | None = None
    scatter_floor: Annotated[float, Ge(0)] = 0.01
    subtract_background: bool = True
    background_order: Annotated[int, Ge(0), Le(4)] = 2
    variation: Variation = Variation.AUTO
    domain: Domain = Domain.FOURIER
    matched_template: bool = False
    max_psf_offset: Annotated[float, Gt(0)] = 0.2

    def subtract(self, science: Exposure, template: Exposure) -> Difference | Skip:
        """Return the difference of two exposures on the same pixels.

        Raises
        ------
        SubtractionError
            If the shapes or bands differ, the PSFs are not centred alike, or the
            noise is not known.
        """
        check_comparable(science, template)
        holes = Holes.of(science, template)
        if holes.unusable.all():
            return no_common_pixel(science)
        check_centres(science, template, self.max_psf_offset)
        try:
            calibration = calibrate(science, template, self._calibration_rules)
        except TooFewStarsError as err:
            return Skip(Reason.INSUFFICIENT_KERNEL_SOURCES, f"{science.id}: {err}")
        field = self._field(science, template, holes, calibration)
        apply = filter_pair if self.domain == Domain.FOURIER else filter_stamps
        subtraction = ProperSubtraction(
            science=science,
            template=template,
            holes=holes,
            field=field,
            calibration=calibration,
            filtered=apply(
                PixelPair.of(science, template, holes, field.reach),
                field,
                matched_template=self.matched_template,
            ),
        )
        order = self.background_order if self.subtract_background else None
        return subtraction.difference(background_order=order)

    def _field(
        self,
        science: Exposure,
        template: Exposure,
        holes: Holes,
        calibration: Calibration,
    ) -> FilterField:
        noise = NoiseLevels.of(science, template, ~holes.unusable)
        psfs = science.psf, template.psf
        constant = all(isinstance(p, ConstantPsf) for p in psfs) and noise.is_constant
        if self.variation != Variation.AUTO:
            constant = self.variation == Variation.CONSTANT
        return FilterField(
            science_psf=science.psf,
            template_psf=template.psf,
            noise=noise,
            flux_ratio=calibration.flux_ratio,
            image_shape=science.shape,
            is_constant=constant or self.domain == Domain.IMAGE,
        )

    @property
    def _calibration_rules(self) -> CalibrationRules:
        return CalibrationRules(
            fluxes=self.fluxes,
            min_stars=self.min_stars,
            sigma_x=self.sigma_x,
            sigma_y=self.sigma_y,
            scatter_floor=self.scatter_floor,
        )
