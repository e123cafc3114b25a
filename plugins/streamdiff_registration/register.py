"""Registration by the positions of stars."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt, Le

from streamdiff.imaging.stars import Stars, find_stars
from streamdiff.model import Exposure
from streamdiff.stages import Registration
from streamdiff_registration.corrected_wcs import corrected_wcs
from streamdiff_registration.displacement import fit_displacement
from streamdiff_registration.match import common_stars
from streamdiff_registration.offsets import Offsets, measure_offsets

# Detections per star that takes part: some are blended, or in one image alone.
_DETECTIONS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class StarRegistrar:
    """Corrects the WCS by a smooth field of displacements between two images.

    Stars of both images are matched, their positions fitted with the PSF of
    either image, and the offsets described by a polynomial of the position.

    Attributes
    ----------
    threshold : float
        Smallest signal-to-noise ratio of a star.
    max_stars : int
        Only so many stars take part, the brightest.
    min_stars : int
        With fewer common stars the WCS stays as it is.
    max_order : int
        Largest order of the polynomial; the data choose a smaller one where it
        describes them as well.
    search_radius : float
        Largest shift that all stars may have in common [pixel].
    max_offset : float
        Farther than this from the common shift, a star is another one [pixel].
    error_floor : float
        Error of a position, along each axis, however bright the star [pixel].

    Notes
    -----
    Metrics [pixel]: ``offset_x_pixel`` and ``offset_y_pixel`` are the median
    displacement from the science image to the template, and
    ``registration_rms_before_pixel`` the rms length of the displacements.
    ``scatter_x_pixel`` and ``scatter_y_pixel`` are their scatter around the
    polynomial beyond the errors of the measurement. ``n_registration_stars`` is
    0 where nothing could be measured: then the WCS is the nominal one, and the
    other metrics are missing.
    """

    threshold: Annotated[float, Gt(0)] = 20.0
    max_stars: Annotated[int, Ge(1)] = 300
    min_stars: Annotated[int, Ge(3)] = 5
    max_order: Annotated[int, Ge(0), Le(8)] = 6
    search_radius: Annotated[float, Gt(0)] = 5.0
    max_offset: Annotated[float, Gt(0)] = 2.0
    error_floor: Annotated[float, Gt(0)] = 0.01

    def register(self, science: Exposure, template: Exposure) -> Registration:
        """Return the registration of a template already on the science grid.

        Raises
        ------
        InvalidExposureError
            If one of them has no PSF.
        """
        offsets = self._offsets(science, template)
        if len(offsets) < self.min_stars:
            return Registration(wcs=science.wcs, metrics={"n_registration_stars": 0.0})
        displacement = fit_displacement(offsets, science.shape, self.max_order)
        before = offsets.take(displacement.used)
        offset_x, offset_y = before.median
        scatter_x, scatter_y = displacement.scatter
        return Registration(
            wcs=corrected_wcs(science.wcs, displacement.field, science.shape),
            metrics={
                "n_registration_stars": float(len(before)),
                "registration_order": float(displacement.field.order),
                "registration_rms_before_pixel": before.rms,
                "offset_x_pixel": offset_x,
                "offset_y_pixel": offset_y,
                "scatter_x_pixel": scatter_x,
                "scatter_y_pixel": scatter_y,
            },
        )

    def _offsets(self, science: Exposure, template: Exposure) -> Offsets:
        pairs = common_stars(
            self._stars(science),
            self._stars(template),
            search_radius=self.search_radius,
            max_offset=self.max_offset,
            max_stars=self.max_stars,
        )
        return measure_offsets(science, template, pairs, error_floor=self.error_floor)

    def _stars(self, exposure: Exposure) -> Stars:
        return find_stars(
            exposure,
            threshold=self.threshold,
            max_stars=_DETECTIONS * self.max_stars,
        )
